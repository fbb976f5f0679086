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


def encodings(data: bytes) -> dict[str, bytes]:
    """What stands for the data."""
    one, other = data[:1000], data[1000:]
    return {
        "": data,
        "identity": data,
        "gzip": gzip.compress(data),
        "X-GZIP": gzip.compress(one) + gzip.compress(other),
        "deflate": zlib.compress(data),
        "Deflate, identity": raw(data),
        "zstd": zstandard.compress(data),
        "zstd, identity": zstandard.compress(one) + zstandard.compress(other),
        "gzip, zstd": zstandard.compress(gzip.compress(data)),
    }


SHORT = DATA[:2000]
ENCODED, ENCODED_SHORT = encodings(DATA), encodings(SHORT)


async def pieces(data: bytes, encoding: str, size: int = 1000) -> AsyncIterator[bytes]:
    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(data), size):
            yield data[start : start + size]

    async for piece in decoded(chunks(), decoders(encoding)):
        yield piece


@pytest.mark.parametrize("size", [1, 1000])
@pytest.mark.parametrize("encoding", ENCODED)
async def test_what_was_encoded(encoding: str, size: int) -> None:
    data = DATA if size > 1 else SHORT
    encoded = ENCODED[encoding] if size > 1 else ENCODED_SHORT[encoding]
    found = [piece async for piece in pieces(encoded, encoding, size)]
    assert b"".join(found) == data


@pytest.mark.parametrize("encoding", sorted(ENCODED_SHORT.keys() - {"", "identity"}))
async def test_what_breaks_off(encoding: str) -> None:
    """And says that it is all."""
    for rest in (1, 5):
        with pytest.raises(Corrupted, match="failed to decode the body: unexpected EOF"):
            [piece async for piece in pieces(ENCODED_SHORT[encoding][:-rest], encoding)]
    with pytest.raises(Corrupted, match="failed to decode the body: unexpected EOF"):
        [piece async for piece in pieces(ENCODED_SHORT[encoding][:1], encoding)]
    assert [piece async for piece in pieces(b"", encoding)] == []


async def test_what_comes_after_the_end_is_not_kept() -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield zlib.compress(DATA)
        for _ in range(1000):
            yield bytes(64 << 10)

    tracemalloc.start()
    try:
        size = sum([len(piece) async for piece in decoded(endless(), decoders("deflate"))])
        most_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert size == len(DATA)
    assert most_bytes < 24 * PIECE_BYTES


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
