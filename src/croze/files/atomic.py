"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


def write_atomically(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write a small file under its name at once: temporary, fsync, rename.

    `mode` is the file's whatever the umask; until it is complete nobody else can read it.
    """
    import tempfile  # slow to import, and most who import this module write nothing

    fd, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(fd, mode)
            os.fsync(fd)
        os.rename(name, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise


@contextmanager
def appearing(path: Path) -> Iterator[BinaryIO]:
    """A file to write to that gets its name when the block has ended well; with the umask's mode. A
    device or a pipe is written to as it is. Raises `OSError`."""
    if path.exists() and not path.is_file():
        with open(path, "wb") as file:
            yield file
        return
    import tempfile  # slow to import, and most who import this module write nothing

    fd, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(fd, "wb") as file:
            yield file
            file.flush()
            umask = os.umask(0o077)
            os.umask(umask)
            os.fchmod(fd, 0o666 & ~umask)
            os.fsync(fd)
        os.rename(name, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise
