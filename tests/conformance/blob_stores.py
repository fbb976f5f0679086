"""What every `BlobStore` must do. Subclass with a `blobs` fixture."""

from __future__ import annotations

import asyncio
import hashlib

import pytest

from croze.errors import Corrupted, InvalidRequest, NotFound, ResourceExhausted
from croze.store.contract import BlobStore

HELLO = "sha256:" + hashlib.sha256(b"hello").hexdigest()
ABSENT = "sha256:" + "0" * 64


async def write(blobs: BlobStore, *parts: bytes, digest: str | None = None) -> str:
    async with blobs.writer() as writer:
        for part in parts:
            writer.write(part)
        return await writer.commit(digest=digest)


class BlobStoreSuite:
    """The contract as tests."""

    async def test_put_and_read(self, blobs: BlobStore) -> None:
        assert await blobs.put(b"hello") == HELLO
        assert await blobs.put(b"hello") == HELLO
        assert blobs.has(HELLO)
        assert blobs.read(HELLO) == b"hello"
        assert blobs.size(HELLO) == 5
        assert blobs.path(HELLO).read_bytes() == b"hello"
        assert list(blobs.digests()) == [HELLO]
        with blobs.open(HELLO) as file:
            assert file.read() == b"hello"

    async def test_written_in_parts(self, blobs: BlobStore) -> None:
        assert await write(blobs, b"hel", b"lo", digest=HELLO) == HELLO

    async def test_a_wrong_digest_or_size_is_refused(self, blobs: BlobStore) -> None:
        with pytest.raises(Corrupted, match="unexpected digest"):
            await write(blobs, b"hello!", digest=HELLO)
        async with blobs.writer() as writer:
            writer.write(b"hello")
            with pytest.raises(Corrupted, match="unexpected size"):
                await writer.commit(digest=HELLO, size=6)
        assert not blobs.has(HELLO)
        assert list(blobs.digests()) == []

    async def test_what_is_not_committed_is_dropped(self, blobs: BlobStore) -> None:
        async with blobs.writer() as writer:
            writer.write(b"hello")
            path = writer.path
        assert not path.exists()
        assert not blobs.has(HELLO)

    async def test_a_worker_writes_the_file(self, blobs: BlobStore) -> None:
        async with blobs.writer() as writer:
            writer.path.write_bytes(b"hello")
            assert await writer.commit() == HELLO
        async with blobs.writer() as writer:
            writer.path.write_bytes(b"hello")
            with pytest.raises(Corrupted):
                await writer.commit(digest=HELLO, size=4)

    async def test_missing_blobs(self, blobs: BlobStore) -> None:
        assert not blobs.has(ABSENT)
        for ask in (blobs.path, blobs.size, blobs.read, blobs.open):
            with pytest.raises(NotFound):
                ask(ABSENT)
        blobs.delete(ABSENT)

    async def test_malformed_digests_reach_no_file(self, blobs: BlobStore) -> None:
        for digest in ("sha256:../../x", "nope", "md5:0"):
            assert not blobs.has(digest)
            with pytest.raises(InvalidRequest):
                blobs.path(digest)

    async def test_the_limit_of_small_reads(self, blobs: BlobStore) -> None:
        await blobs.put(b"hello")
        with pytest.raises(ResourceExhausted):
            blobs.read(HELLO, limit_bytes=4)

    async def test_delete(self, blobs: BlobStore) -> None:
        await blobs.put(b"hello")
        blobs.delete(HELLO)
        assert not blobs.has(HELLO)
        await blobs.put(b"hello")
        assert blobs.read(HELLO) == b"hello"

    async def test_many_at_once(self, blobs: BlobStore) -> None:
        digests = await asyncio.gather(*(write(blobs, b"hello") for _ in range(5)))
        assert set(digests) == {HELLO}
        assert blobs.read(HELLO) == b"hello"
