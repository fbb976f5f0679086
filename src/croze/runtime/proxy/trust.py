"""An authority in a container's certificate bundle, for as long as the container is there."""

from __future__ import annotations

import contextlib
import os
import stat

from croze.fs.root import resolve

BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
"""Where distributions have it; the first that is there counts."""
_BEGIN, _END = b"\n# buildkit proxy CA begin\n", b"# buildkit proxy CA end\n"
_MOST_BYTES = 10 << 20


class Trust:
    """Of one root filesystem that nobody else changes now."""

    def __init__(self, root: str, pem: bytes) -> None:
        self._block = _BEGIN + pem + _END
        self._pem = pem
        self._bundle = ""
        for name in BUNDLES:
            path = resolve(root, name)
            with contextlib.suppress(OSError):
                if stat.S_ISREG(os.stat(path).st_mode):
                    self._bundle = path
                    return

    def add(self) -> None:
        """Raises `OSError`."""
        data = self._read() if self._bundle else None
        if data is None or self._pem in data:
            self._bundle = ""
            return
        end = b"" if data.endswith(b"\n") or not data else b"\n"
        self._write(data + end + self._block)

    def remove(self) -> None:
        """Whatever has become of the bundle meanwhile: no more than the authority goes."""
        data = self._read() if self._bundle else None
        if data is not None and self._pem in data:
            self._write(data.replace(self._block, b"").replace(self._pem, b""))

    def _read(self) -> bytes | None:
        try:
            fd = os.open(self._bundle, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None
        with os.fdopen(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                return None
            data = file.read(_MOST_BYTES + 1)
        return data if len(data) <= _MOST_BYTES else None

    def _write(self, data: bytes) -> None:
        """In one step, with the mode, owner and times that it had."""
        known = os.stat(self._bundle)
        temporary = f"{self._bundle}.croze"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(temporary, flags, 0o600)
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(data)
                file.flush()
                os.fchmod(fd, stat.S_IMODE(known.st_mode))
                os.fchown(fd, known.st_uid, known.st_gid)
                os.utime(fd, ns=(known.st_atime_ns, known.st_mtime_ns))
            os.rename(temporary, self._bundle)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
