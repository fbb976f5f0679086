"""Streams of compressed bytes: what kind they are, and reading them."""

from __future__ import annotations

import bz2
import lzma
import os
import zlib
from collections.abc import Mapping
from typing import BinaryIO, Literal, NamedTuple, Protocol, cast

import zstandard
from isal import igzip, isal_zlib

Kind = Literal["uncompressed", "gzip", "zstd", "bzip2", "xz"]

_MAGIC: tuple[tuple[bytes, Kind], ...] = (
    (b"\x1f\x8b\x08", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\0", "xz"),
)
# The stubs have it as a value.
_ISAL_ERROR = cast("type[Exception]", isal_zlib.error)


class Readable(Protocol):
    """The part of a binary file that readers need."""

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes (all that are left for -1); empty at the end."""


def detect(head: bytes) -> Kind:
    """The kind of stream that starts with `head` (ten bytes are enough)."""
    if head[1:4] == b"\x2a\x4d\x18" and 0x50 <= head[0] <= 0x5F:
        return "zstd"  # a skippable frame may come first (RFC 8878, 3.1.2)
    return next((kind for magic, kind in _MAGIC if head.startswith(magic)), "uncompressed")


def open_reader(file: BinaryIO, kind: Kind | None = None) -> Readable:
    """A reader of what `file` holds uncompressed; `kind` is found out (the file must seek) if not
    given. Bad data raises one of `READ_ERRORS`, or EOFError if it ends early."""
    if kind is None:
        kind = detect(file.read(10))
        file.seek(-min(10, file.tell()), os.SEEK_CUR)
    if kind == "gzip":
        return cast(Readable, igzip.open(file, "rb"))  # type: ignore[no-untyped-call]
    if kind == "zstd":
        reader = zstandard.ZstdDecompressor().stream_reader(
            file, read_across_frames=True, closefd=False
        )
        return cast(Readable, reader)
    if kind == "bzip2":
        return bz2.BZ2File(file)
    if kind == "xz":
        return lzma.LZMAFile(file)
    return file


READ_ERRORS: tuple[type[Exception], ...] = (
    _ISAL_ERROR, zlib.error, zstandard.ZstdError, lzma.LZMAError, EOFError, OSError,
)  # fmt: skip
"""What reading damaged streams raises."""


class BlobSums(NamedTuple):
    """What is known of a blob once it is written."""

    digest: str
    diff_id: str
    size: int
    annotations: Mapping[str, str] = {}
    """That its descriptor must have."""
