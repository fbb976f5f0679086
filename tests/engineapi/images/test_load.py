"""Images that arrive over Docker's API."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import cast

import pytest

from croze.engineapi.images.load import _stored
from croze.engineapi.images.tarmembers import ArrivedMember
from croze.engineapi.services import Services
from croze.store.blobs import DiskBlobStore, DiskBlobWriter
from croze.store.contract import Lease
from croze.store.trash import Trash
from tests.store.sources import sha256
from tests.support.threads import are_beside_the_loop, calling_threads


class _Store:
    """What is needed of services, and a lease."""

    def __init__(self, blobs: DiskBlobStore) -> None:
        self.blobs = blobs
        self.leased: list[str] = []

    def hold(self, digest: str) -> None:
        self.leased.append(digest)


async def test_what_arrives_is_written_beside_the_event_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is slower than who sends makes whoever writes wait, for seconds at a time."""
    threads = calling_threads(monkeypatch, DiskBlobWriter, "write")
    trash = Trash(tmp_path)
    store = _Store(DiskBlobStore(tmp_path, trash))
    reader, layer = asyncio.StreamReader(), b"layer" * 200_000
    reader.feed_data(layer + bytes(-len(layer) % 512))
    member = ArrivedMember("layer.tar", "", len(layer), reader)
    descriptor = await _stored(member, cast("Services", store), cast("Lease", store))
    trash.close()
    assert descriptor.digest == sha256(layer)
    assert store.leased == [descriptor.digest]
    assert are_beside_the_loop(threads)
