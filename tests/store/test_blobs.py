"""Blobs on disk, against their contract and across restarts."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from croze.errors import Corrupted
from croze.store.blobs import DiskBlobStore
from croze.store.trash import Trash
from tests.conformance.blob_stores import HELLO, BlobStoreSuite


class TestDisk(BlobStoreSuite):
    @pytest.fixture
    def blobs(self, tmp_path: Path, trash: Trash) -> DiskBlobStore:
        return DiskBlobStore(tmp_path, trash)


async def test_blobs_survive_and_leftovers_do_not(tmp_path: Path, trash: Trash) -> None:
    blobs = DiskBlobStore(tmp_path, trash)
    await blobs.put(b"hello")
    (tmp_path / "ingest" / "left").write_bytes(b"half")
    again = DiskBlobStore(tmp_path, trash)
    assert again.read(HELLO) == b"hello"
    assert again.size(HELLO) == 5
    assert list((tmp_path / "ingest").iterdir()) == []


async def test_nothing_is_not_what_its_sender_says_it_is(tmp_path: Path, trash: Trash) -> None:
    """A server may list a layer of no bytes by the digest of another one."""
    blobs = DiskBlobStore(tmp_path, trash)
    with pytest.raises(Corrupted, match="unexpected digest"):
        async with blobs.writer() as writer:
            await writer.commit(digest=HELLO, size=0)
    assert not blobs.has(HELLO)


async def test_deleted_files_are_gone_in_the_end(tmp_path: Path, trash: Trash) -> None:
    blobs = DiskBlobStore(tmp_path, trash)
    await blobs.put(b"hello")
    blobs.delete(HELLO)
    await trash.empty()
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


@pytest.mark.parametrize("turns", range(5))
async def test_a_blob_deleted_as_it_is_published(tmp_path: Path, trash: Trash, turns: int) -> None:
    """What is said to be here is here, however soon the collector comes."""
    blobs = DiskBlobStore(tmp_path, trash)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(blobs.put(b"x"))
        while not (digests := blobs.digests()) and not task.done():
            await asyncio.sleep(0)
        for _ in range(turns):
            await asyncio.sleep(0)
        assert blobs.idle_s(digests[0]) < 60, "it would be collected at once"
        blobs.delete(digests[0])
    assert not blobs.has(task.result())


async def test_a_cancelled_writer_leaves_a_store_that_knows_what_it_has(
    tmp_path: Path, trash: Trash
) -> None:
    blobs = DiskBlobStore(tmp_path, trash)
    for turns in range(8):
        async with asyncio.TaskGroup() as group:
            task = group.create_task(blobs.put(f"{turns}".encode()))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
    assert {p.name for p in (tmp_path / "blobs/sha256").iterdir()} == {
        digest.removeprefix("sha256:") for digest in blobs.digests()
    }
    assert not list((tmp_path / "ingest").iterdir())
