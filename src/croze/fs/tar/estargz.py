"""eStargz: gzip layers that can be read file by file, by a table of contents at their end.

Source: stargz-snapshotter `docs/estargz.md`, and `estargz` as BuildKit uses it. A blob is a row of
gzip members: the layer's tar, cut where the content of files begins; a tar of its own with the
table; and an empty member of 51 bytes whose extra field says where the table is. To those who know
nothing of this it is a gzip file, and the tar in it (whose diff ID counts) ends with the table.
"""

from __future__ import annotations

import io
import os
from typing import BinaryIO

from croze.errors import Corrupted
from croze.fs.tar.compress import Readable, open_reader, read_errors
from croze.fs.tar.read import TarReader

TOC_NAME = "stargz.index.json"
TOC_ANNOTATION = "containerd.io/snapshot/stargz/toc.digest"
SIZE_ANNOTATION = "io.containers.estargz.uncompressed-size"

_FOOTER_SIZE = 51
_FOOTER_HEAD = bytes.fromhex("1f8b08040000000000ff") + b"\x1a\0SG\x16\0"
_FOOTER_END = b"STARGZ" + bytes.fromhex("010000ffff") + bytes(8)


def footer(toc_offset: int) -> bytes:
    """An empty gzip member (RFC 1952) that says where the table's member starts."""
    return _FOOTER_HEAD + b"%016x" % toc_offset + _FOOTER_END


def toc_offset(file: BinaryIO) -> int | None:
    """Where the table of contents starts; None for a blob that is not eStargz. `file` must seek;
    it is left at its start."""
    try:
        size = file.seek(0, os.SEEK_END)
        if size <= _FOOTER_SIZE:
            return None
        file.seek(size - _FOOTER_SIZE)
        offset = _parse_footer(file.read(_FOOTER_SIZE))
        if offset is None or offset > size - _FOOTER_SIZE:
            return None
        return offset if _is_toc(file, offset, size - _FOOTER_SIZE) else None
    finally:
        file.seek(0)


def open_layer(file: BinaryIO) -> Readable:
    """A reader of a layer's own tar, however it is compressed: of eStargz without the table. Bad
    data raises one of `read_errors`."""
    offset = toc_offset(file)
    return open_reader(file) if offset is None else _unzipped(file, 0, offset)


def is_estargz(path: str) -> bool:
    """Whether the blob has a footer and a table of contents."""
    with open(path, "rb") as file:
        return toc_offset(file) is not None


def _parse_footer(data: bytes) -> int | None:
    number = data[len(_FOOTER_HEAD) : len(_FOOTER_HEAD) + 16]
    try:
        offset = int(number, 16)
    except ValueError:
        return None
    return offset if footer(offset) == data.replace(number, number.lower()) else None


def _is_toc(file: BinaryIO, start: int, end: int) -> bool:
    """Whether there is a tar with the table and nothing else."""
    reader = TarReader(_unzipped(file, start, end))
    try:
        first = reader.next()
        return first is not None and first.name == TOC_NAME and reader.next() is None
    except read_errors():
        return False
    except Corrupted:
        return False


def _unzipped(file: BinaryIO, start: int, end: int) -> Readable:
    return open_reader(io.BufferedReader(_Part(file, start, end)), "gzip")


class _Part(io.RawIOBase):
    """Some bytes of a file, as a file."""

    def __init__(self, file: BinaryIO, start: int, end: int) -> None:
        self._file = file
        self._left = max(0, end - start)
        file.seek(start)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        data = self._file.read(min(len(buffer), self._left))
        buffer[: len(data)] = data
        self._left -= len(data)
        return len(data)
