"""Blobs on disk, against their contract and across restarts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from croze.store.blobs import DiskBlobStore
from croze.store.trash import Trash
from tests.conformance.blob_stores import HELLO, BlobStoreSuite


@pytest.fixture
def trash(tmp_path: Path) -> Iterator[Trash]:
    trash = Trash(tmp_path)
    yield trash
    trash.close()


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


async def test_deleted_files_are_gone_in_the_end(tmp_path: Path, trash: Trash) -> None:
    blobs = DiskBlobStore(tmp_path, trash)
    await blobs.put(b"hello")
    blobs.delete(HELLO)
    await trash.empty()
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []
