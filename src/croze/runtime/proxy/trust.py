"""An authority in a container's certificate bundle, for as long as the container is there."""

from __future__ import annotations

import contextlib
import os
import stat

from croze.fs.root import open_beneath, resolve_below

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
    """The certificate bundle of one root filesystem. Nobody else changes it while something is
    added or removed; what ran in between may have changed all of it, so each path is resolved below
    the root anew."""

    def __init__(self, root: str, pem: bytes) -> None:
        self._root = root
        self._block = _BEGIN + pem + _END
        self._pem = pem
        self._bundle = ""
        for name in BUNDLES:
            with contextlib.suppress(OSError):
                path = resolve_below(root, name)
                if self._is_file(path):
                    self._bundle = path
                    return

    def _is_file(self, path: str) -> bool:
        fd = open_beneath(self._root, path, os.O_PATH | os.O_NOFOLLOW)
        try:
            return stat.S_ISREG(os.fstat(fd).st_mode)
        finally:
            os.close(fd)

    def add(self) -> None:
        """Add the authority to the bundle. Raises `OSError`."""
        data = self._read() if self._bundle else None
        if data is None or self._pem in data:
            self._bundle = ""
            return
        end = b"" if data.endswith(b"\n") or not data else b"\n"
        self._write(data + end + self._block)

    def remove(self) -> None:
        """Take the authority out of the bundle, and nothing else, whatever has become of it."""
        data = self._read() if self._bundle else None
        if data is not None and self._pem in data:
            self._write(data.replace(self._block, b"").replace(self._pem, b""))

    def _read(self) -> bytes | None:
        try:
            fd = open_beneath(self._root, self._bundle, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return None
        with os.fdopen(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                return None
            data = file.read(_MOST_BYTES + 1)
        return data if len(data) <= _MOST_BYTES else None

    def _write(self, data: bytes) -> None:
        folder, name = os.path.split(self._bundle)
        folder_fd = open_beneath(self._root, folder, os.O_PATH | os.O_DIRECTORY)
        try:
            _replace(folder_fd, name, data)
        finally:
            os.close(folder_fd)


def _replace(folder: int, name: str, data: bytes) -> None:
    """Replace the file in one step, with the mode, owner and times that it had."""
    status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    temporary = f"{name}.croze"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(temporary, flags, 0o600, dir_fd=folder)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fchown(fd, status.st_uid, status.st_gid)
            os.fchmod(fd, stat.S_IMODE(status.st_mode))
            os.utime(fd, ns=(status.st_atime_ns, status.st_mtime_ns))
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary, dir_fd=folder)
        raise
