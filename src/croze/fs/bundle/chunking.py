"""Content-defined chunking: where a file is cut depends on the few bytes before the cut alone.

What is inserted or removed moves the cuts behind it along, so all other chunks stay what they were.
Each byte counts as one bit (`_BITS`), and a chunk ends where the last `_WINDOW` bits are `_MARK`:
that is looked for by the substring search of the interpreter, at the speed of C. A chunk has about
a MiB; `MIN_BYTES` and `MAX_BYTES` bound it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import BinaryIO, Final

MIN_BYTES: Final = 256 << 10
MAX_BYTES: Final = 4 << 20
_WINDOW: Final = 20
_BITS: Final = bytes(hashlib.sha256(bytes((value,))).digest()[0] & 1 for value in range(256))
_MARK: Final = bytes(value & 1 for value in hashlib.sha256(b"croze").digest()[:_WINDOW])


def chunks(file: BinaryIO) -> Iterator[bytes]:
    """The file from where it stands to its end. Two of the largest chunks are in memory at most."""
    data, at, ended = b"", 0, False
    while True:
        while not ended and len(data) - at < MAX_BYTES:
            more = file.read(MAX_BYTES)
            ended = not more
            data, at = data[at:] + more, 0
        if at == len(data):
            return
        end = _end_of_chunk(data, at)
        yield data[at:end]
        at = end


def _end_of_chunk(data: bytes, start: int) -> int:
    """Where the chunk that begins at `start` ends; `data` has a largest chunk from there on, or
    ends with the file."""
    limit = min(start + MAX_BYTES, len(data))
    bits = data[start + MIN_BYTES - _WINDOW : limit].translate(_BITS)
    at = bits.find(_MARK)
    return limit if at < 0 else start + MIN_BYTES + at
