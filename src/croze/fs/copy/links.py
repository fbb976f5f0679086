"""Which copies of a tree may be hard links of its files.

No state that a container sees may have a file under two names that were copies of one: a program
would take them for links of each other. So a file is linked to one place only. Where it was linked
to is noted beside the tree, and a copy to any other place is a real one.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator

SIDE_FILE = "links"
"""Name of the notes among a ref's side files."""


def claim(notes: str, source: str, target: str) -> bool:
    """Whether the directory `source` of the tree with these notes may be copied to `target` by
    links (absolute paths in their trees). The notes must have been begun, as an empty file; they
    are pairs of such paths, each path ended by a zero byte."""
    link = (_inside(source), _inside(target))
    try:
        fd = os.open(notes, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    with os.fdopen(fd, "r+b", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        pairs = list(_pairs(file.read()))
        if link in pairs:
            return True
        if not all(_agree(link, pair) for pair in pairs):
            return False
        file.write(b"%s\0%s\0" % link)
    return True


def _inside(path: str) -> bytes:
    return os.fsencode(path.rstrip("/") + "/")


def _pairs(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    paths = iter(data.split(b"\0")[:-1])
    return zip(paths, paths, strict=True)


def _agree(one: tuple[bytes, bytes], other: tuple[bytes, bytes]) -> bool:
    """Whether both put what they have in common at the same place."""
    outer, inner = sorted((one, other), key=lambda pair: len(pair[0]))
    if not inner[0].startswith(outer[0]):
        return True
    return inner[1] == outer[1] + inner[0][len(outer[0]) :]
