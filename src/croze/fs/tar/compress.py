"""Streams of compressed bytes: what kind they are, and reading them.

The libraries are loaded when something is read: the daemon, which has its workers do that, needs
none of them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from typing import BinaryIO, Literal, NamedTuple, Protocol, cast

Kind = Literal["uncompressed", "gzip", "zstd", "bzip2", "xz"]

_MAGIC: tuple[tuple[bytes, Kind], ...] = (
    (b"\x1f\x8b\x08", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\0", "xz"),
)


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
    given. Bad data raises one of `read_errors`, or EOFError if it ends early."""
    if kind is None:
        kind = detect(file.read(10))
        file.seek(-min(10, file.tell()), os.SEEK_CUR)
    if kind == "gzip":
        from isal import igzip

        return cast(Readable, igzip.open(file, "rb"))  # type: ignore[no-untyped-call]
    if kind == "zstd":
        import zstandard

        reader = zstandard.ZstdDecompressor().stream_reader(
            file, read_across_frames=True, closefd=False
        )
        return cast(Readable, reader)
    if kind == "bzip2":
        import bz2

        return bz2.BZ2File(file)
    if kind == "xz":
        import lzma

        return lzma.LZMAFile(file)
    return file


def load() -> None:
    """Load all libraries now, for a process that can't do it when it reads."""
    import bz2  # noqa: F401

    from isal import igzip  # noqa: F401

    read_errors()


@cache
def read_errors() -> tuple[type[Exception], ...]:
    """What reading damaged streams raises."""
    import lzma
    import zlib

    import zstandard
    from isal import isal_zlib

    # The stubs have it as a value.
    isal_error = cast("type[Exception]", isal_zlib.error)
    return isal_error, zlib.error, zstandard.ZstdError, lzma.LZMAError, EOFError, OSError


class BlobSums(NamedTuple):
    """What is known of a blob once it is written."""

    digest: str
    diff_id: str
    size: int
    annotations: Mapping[str, str] = {}
    """That its descriptor must have."""
