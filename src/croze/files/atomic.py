"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
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


def write_atomically(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write a small file under its name at once: temporary, fsync, rename.

    `mode` is the file's whatever the umask; until it is complete nobody else can read it. What must
    not be replaced (see `replaced`) is written to as it is.
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
            os.fsync(fd)
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


@contextmanager
def appearing(path: Path) -> Iterator[BinaryIO]:
    """A file to write to that gets its name when the block has ended well; with the umask's mode.
    What must not be replaced is written to as it is. Raises `OSError`."""
    target = replaced(path)
    if target is None:
        with open(path, "wb") as file:
            yield file
        return
    import tempfile  # slow to import, and most who import this module write nothing

    fd, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(fd, "wb") as file:
            yield file
            file.flush()
            os.fchmod(fd, umasked(0o666))
            os.fsync(fd)
        os.rename(name, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise
