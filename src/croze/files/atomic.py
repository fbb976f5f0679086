"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

_SPECIAL = ("/dev/", "/proc/")


def replaced(path: Path) -> Path | None:
    """The file whose place a new one may take: what a link leads to. None for what is written to as
    it is, since nothing may take its place: a device, a pipe, `/dev/stdout`."""
    if os.path.abspath(path).startswith(_SPECIAL) or (path.exists() and not path.is_file()):
        return None
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def write_atomically(
    path: Path, data: bytes, mode: int = 0o644, sync: Callable[[int], None] | None = None
) -> None:
    """Write a small file under its name at once: temporary, fsync, rename.

    `mode` is the file's whatever the umask; until it is complete nobody else can read it. What must
    not be replaced (see `replaced`) is written to as it is. `sync` may put off the wait for the
    disk, of what is worth nothing without something that is there later: a machine that fails
    before then may leave an empty file.
    """
    target = replaced(path)
    if target is None:
        path.write_bytes(data)
        return
    import tempfile  # slow to import, and most who import this module write nothing

    fd, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(fd, mode)
            (sync or os.fsync)(fd)
        os.rename(name, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise


def umasked(mode: int) -> int:
    """The mode without what the process's umask takes away."""
    umask = os.umask(0o077)
    os.umask(umask)
    return mode & ~umask


class NewFile:
    """A file without a name, that takes the place of `target` when it is complete. Of one that is
    given up, or whose writer is killed, nothing is left; where a file system knows no such files,
    one with a name of its own stands in, beside the target. Raises `OSError`."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._name = ""
        try:
            os.stat("/proc/self/fd")  # by which it gets its name; not everywhere is there one
            flags = os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC
            self.fd = os.open(target.parent, flags, 0o600)
        except OSError:
            import tempfile  # slow to import, and seldom needed

            self.fd, self._name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")

    def take_place(self) -> None:
        """With the umask's mode. What goes wrong leaves nothing."""
        try:
            os.fchmod(self.fd, umasked(0o666))
            os.fsync(self.fd)  # may be where a disk turns out to be full
            self._name = self._name or self._named()
            os.rename(self._name, self._target)
        except BaseException:
            self.discard()
            raise
        self._close()

    def _named(self) -> str:
        name = self._target.with_name(f".{self._target.name}.{os.urandom(6).hex()}")
        # Given a descriptor, it takes the call that follows the link.
        os.link(f"/proc/self/fd/{self.fd}", name, src_dir_fd=self.fd, follow_symlinks=True)
        return str(name)

    def discard(self) -> None:
        """Give it up. Idempotent."""
        self._close()
        if self._name:
            with suppress(OSError):
                os.unlink(self._name)

    def _close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = -1


@contextmanager
def appearing(path: Path) -> Iterator[BinaryIO]:
    """A file to write to that gets its name when the block has ended well; with the umask's mode.
    What must not be replaced is written to as it is. Raises `OSError`."""
    target = replaced(path)
    if target is None:
        with open(path, "wb") as file:
            yield file
        return
    new = NewFile(target)
    try:
        with os.fdopen(new.fd, "wb", closefd=False) as file:
            yield file
        new.take_place()
    except BaseException:
        new.discard()
        raise
