"""Reading a tree that anyone may have made."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from croze.errors import CrozeError
from croze.fs.root import open_beneath

MAX_TEXT_BYTES = 64 << 20
FILES_TRIED = 32
"""How many of a package's files are looked for, to see which layer it is from: some may be gone."""


class ScannedTree:
    """A directory. Links lead nowhere out of it."""

    def __init__(self, root: str) -> None:
        self._root = root

    def open(self, path: str) -> int | None:
        """A descriptor of a regular file; None if there is none."""
        try:
            fd = open_beneath(self._root, path, os.O_RDONLY | os.O_NONBLOCK)
        except (OSError, CrozeError):
            return None
        if stat.S_ISREG(os.fstat(fd).st_mode):
            return fd
        os.close(fd)
        return None

    def read(self, path: str, limit: int = MAX_TEXT_BYTES) -> bytes:
        """A file's bytes, `limit` at most; none if there is no such file."""
        fd = self.open(path)
        if fd is None:
            return b""
        with os.fdopen(fd, "rb") as file:
            return file.read(limit)

    def copy(self, path: str, target: int, limit: int) -> None:
        """A file's bytes, `limit` at most, to a descriptor."""
        fd = self.open(path)
        if fd is not None:
            with os.fdopen(fd, "rb") as file, os.fdopen(os.dup(target), "wb") as out:
                while limit > 0 and (piece := file.read(min(limit, 1 << 20))):
                    out.write(piece)
                    limit -= len(piece)

    def text(self, path: str) -> str:
        return self.read(path).decode("utf-8", "replace")

    def exists(self, path: str) -> bool:
        fd = self.open(path)
        if fd is None:
            return False
        os.close(fd)
        return True


def paragraphs(text: str) -> Iterator[dict[str, str]]:
    """Fields of blocks that empty lines part; of those that go on only the first line (Debian
    policy 5.1, also e-mail headers)."""
    fields: dict[str, str] = {}
    for line in text.splitlines():
        if not line.strip():
            if fields:
                yield fields
            fields = {}
        elif not line[0].isspace():
            key, colon, value = line.partition(":")
            if colon:
                fields.setdefault(key, value.strip())
    if fields:
        yield fields
