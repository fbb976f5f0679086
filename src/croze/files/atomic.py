"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

_SPECIAL = ("/dev/", "/proc/")
_NAME_BYTES = 200
_FULL = (errno.ENOSPC, errno.EDQUOT)


def replaced(path: Path) -> Path | None:
    """The file whose place a new one may take: what a link leads to, unless that is another user's,
    whose place is taken itself. None for what is written to as it is, since nothing may take its
    place: a device, a pipe, `/dev/stdout`, a file in a directory in which there may be no other."""
    if os.path.abspath(path).startswith(_SPECIAL):
        return None
    target = path
    try:
        status = path.lstat()  # once: in a directory of somebody else's it may change
    except (FileNotFoundError, NotADirectoryError):
        return path
    if stat.S_ISLNK(status.st_mode):
        if is_others(status):
            return path
        if path.exists() and not path.is_file():
            return None
        target = Path(os.path.realpath(path))
    elif not stat.S_ISREG(status.st_mode):
        return None
    return target if os.access(target.parent, os.W_OK) or not target.exists() else None


def file_named(text: str) -> Path:
    """Where a file is to be written, as somebody gives it. Raises `OSError`, which names it so, for
    what ends with a slash, as only directories may: a `Path` does not tell."""
    if text.endswith("/"):
        # The system refuses, and knows whether what is above is there (open(2)).
        os.close(os.open(text, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666))
    return Path(text)


def is_others(link: os.stat_result) -> bool:
    """Whether a link is of somebody who is neither this user nor root. In a directory of theirs it
    may lead to what is ours (compare `protected_symlinks`, proc_sys_fs(5))."""
    return link.st_uid not in (os.geteuid(), 0)


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
        with open_in_place(path) as there:
            there.write(data)
        return
    fd, name = _made_beside(target)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(fd, mode)
            (sync or os.fsync)(fd)
        os.rename(name, target)
    except BaseException as error:
        with suppress(OSError):
            os.unlink(name)
        if not _is_mounted(error):
            raise _named(error, path) from None
        target.write_bytes(data)


def open_in_place(path: Path) -> BinaryIO:
    """What must not be replaced (see `replaced`), open to be written to from its beginning. Waits
    for the reader of a pipe. A link that somebody else has put there meanwhile is not followed.
    Raises `OSError`."""
    return open(path, "wb", opener=_without_others_link)


def _without_others_link(path: str, flags: int) -> int:
    try:
        status = os.lstat(path)
        if not stat.S_ISLNK(status.st_mode) or is_others(status):
            flags |= os.O_NOFOLLOW
    except OSError:
        pass  # `open` says what is wrong
    return os.open(path, flags, 0o666)


def _named(error: BaseException, path: Path) -> BaseException:
    """The error of a call on something open, which does not say that it was `path`."""
    if isinstance(error, OSError) and error.filename is None:
        return OSError(error.errno, error.strerror, os.fspath(path))
    return error


def _made_beside(target: Path) -> tuple[int, str]:
    """A new file with a name of its own, and that."""
    import tempfile  # slow to import, and most who import this module write nothing

    return tempfile.mkstemp(dir=target.parent, prefix=_prefix(target))


def _prefix(target: Path) -> str:
    """What the names of files begin with that are to take a file's place, whose own may be as long
    as names get."""
    return f".{os.fsencode(target.name)[:_NAME_BYTES].decode(errors='ignore')}."


def _is_mounted(error: BaseException) -> bool:
    """Whether nothing could take a file's place because it is mounted there, as single files are in
    containers (rename(2))."""
    return isinstance(error, OSError) and error.errno == errno.EBUSY


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
            self.fd, self._name = _made_beside(target)

    def take_place(self) -> None:
        """Take the file's place, with the umask's mode. What goes wrong leaves nothing."""
        try:
            self._settle()
            if not (self._name or self._is_named()):
                self._copy()
                self._settle()
            os.rename(self._name, self._target)
        except BaseException as error:
            try:
                if not _is_mounted(error):
                    raise
                self._write_through()
            finally:
                self.discard()
        self._close()

    def _settle(self) -> None:
        os.fchmod(self.fd, umasked(0o666))
        os.fsync(self.fd)  # may be where a disk turns out to be full

    def _is_named(self) -> bool:
        """Give it a name of its own; False where that is refused: some file systems make such files
        without letting them be linked, and so do some policies (AppArmor's)."""
        name = os.fspath(self._target.with_name(_prefix(self._target) + os.urandom(6).hex()))
        try:
            # Given a descriptor, it takes the call that follows the link.
            os.link(f"/proc/self/fd/{self.fd}", name, src_dir_fd=self.fd, follow_symlinks=True)
        except OSError as error:
            if error.errno in _FULL:
                raise
            return False
        self._name = name
        return True

    def _copy(self) -> None:
        """Go on with a copy, which has a name."""
        fd, self._name = _made_beside(self._target)
        try:
            self._copy_to(fd)
        except BaseException:
            os.close(fd)
            raise
        os.close(self.fd)
        self.fd = fd

    def _write_through(self) -> None:
        """Into the target as it is."""
        with open(self._target, "wb") as there:
            self._copy_to(there.fileno())

    def _copy_to(self, fd: int) -> None:
        import shutil  # slow to import, and seldom needed

        os.lseek(self.fd, 0, os.SEEK_SET)
        with open(self.fd, "rb", closefd=False) as own, open(fd, "wb", closefd=False) as there:
            shutil.copyfileobj(own, there, 1 << 20)

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
        with open_in_place(path) as file:
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
