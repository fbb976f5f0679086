"""What a server has encoded for the way comes out as it was, however much of it there is."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections.abc import AsyncIterator

import pytest
import zstandard

from croze.errors import Corrupted, CrozeError
from croze.http.encodings import PIECE_BYTES, decoded, decoders

DATA = bytes(range(256)) * 9000


def raw(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


ENCODED = {
    "": DATA,
    "identity": DATA,
    "gzip": gzip.compress(DATA),
    "X-GZIP": gzip.compress(DATA[:1000]) + gzip.compress(DATA[1000:]),
    "deflate": zlib.compress(DATA),
    "Deflate, identity": raw(DATA),
    "zstd": zstandard.compress(DATA),
    "gzip, zstd": zstandard.compress(gzip.compress(DATA)),
}


async def pieces(data: bytes, encoding: str, size: int = 1000) -> AsyncIterator[bytes]:
    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(data), size):
            yield data[start : start + size]

    async for piece in decoded(chunks(), decoders(encoding)):
        yield piece


@pytest.mark.parametrize("encoding", ENCODED)
async def test_what_was_encoded(encoding: str) -> None:
    found = [piece async for piece in pieces(ENCODED[encoding], encoding)]
    assert b"".join(found) == DATA


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
async def test_much_of_little_is_never_held_as_a_whole(encoding: str) -> None:
    zeros = bytes(64 << 20)
    data = gzip.compress(zeros) if encoding == "gzip" else zstandard.compress(zeros)
    size = len(zeros)
    del zeros
    tracemalloc.start()
    try:
        async for piece in pieces(data, encoding, len(data)):
            size -= len(piece)
        most_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert not size
    assert most_bytes < 24 * PIECE_BYTES


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
async def test_what_is_not_encoded_so(encoding: str) -> None:
    with pytest.raises(Corrupted, match="failed to decode the body"):
        [piece async for piece in pieces(b"\xff" * 100, encoding)]


def test_unknown_encodings() -> None:
    with pytest.raises(CrozeError, match="unsupported Content-Encoding algorithm: foo"):
        decoders("gzip, foo")
