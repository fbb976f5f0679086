"""Layers that are unpacked while they come."""

from __future__ import annotations

import asyncio
import os
import random
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import pytest

from croze.errors import Corrupted, CrozeError, Unavailable
from croze.fs.tar.arriving import ArrivingFile
from croze.image.descriptor import Descriptor
from croze.store.contract import BlobStore, ImmutableRef, LazyLayer
from croze.store.open import Store
from tests.store.sources import Sources, sha256
from tests.store.trees import names_of
from tests.support.waiting import PATIENCE_S

BIG = random.Random(1).randbytes(3 << 20)
"""More than lies in buffers between the network and the disk."""

Between = Callable[[], Awaitable[object]]


class Slow:
    """A fetcher that sends a blob's first half, waits, and does what comes next."""

    origin: Mapping[str, str] = {"kind": "slow"}
    spent = False

    def __init__(self, blob: bytes, between: Between, rest: bytes | None = None) -> None:
        self._blob = blob
        self._between = between
        self._rest = rest
        self.again = False

    async def fetch(
        self, descriptor: Descriptor, blobs: BlobStore, sessions: Sequence[str]
    ) -> None:
        half = len(self._blob) * 2 // 3
        async with blobs.writer() as writer:
            writer.write(b"")  # as of a connection that was cut at once
            writer.write(self._blob[:half])
            await self._between()
            if not self.again:
                writer.write(self._blob[half:] if self._rest is None else self._rest)
                await writer.commit(digest=descriptor.digest, size=descriptor.size)
                return
        async with blobs.writer() as writer:
            writer.write(self._blob)
            await writer.commit(digest=descriptor.digest)


async def lazy(
    store: Store, sources: Sources, between: Between, rest: bytes | None = None
) -> tuple[ImmutableRef, Slow]:
    layer = sources.layer({"first": b"1", "big": BIG, "last": b"2"})
    blob = sources.blobs[layer.blob.descriptor.digest]
    slow = Slow(blob, between, rest)
    ref = await store.refs.from_layers([LazyLayer(layer.blob, slow)])
    assert ref is not None
    return ref, slow


def is_unpacked(folder: Path) -> bool:
    """Whether the first file of a layer is on disk."""
    return any("first" in names for _, _, names in os.walk(folder / "root/snapshots"))


def unpacking(folder: Path) -> Between:
    """Until the first file of a layer is on disk."""

    async def seen() -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not is_unpacked(folder):
                await asyncio.sleep(0)

    return seen


async def test_it_is_unpacked_before_all_has_come(
    store: Store, sources: Sources, tmp_path: Path
) -> None:
    ref, _ = await lazy(store, sources, unpacking(tmp_path))
    await ref.unlazy()
    assert await names_of(ref) == ["big", "first", "last"]
    await ref.release()


async def test_what_turns_out_to_be_something_else_is_dropped(
    store: Store, sources: Sources, tmp_path: Path
) -> None:
    """Though it was unpacked, it is nobody's: its digest is another."""
    ref, slow = await lazy(store, sources, unpacking(tmp_path))
    end = slow._blob[len(slow._blob) * 2 // 3 :]
    slow._rest = bytes([end[0] ^ 1]) + end[1:]
    with pytest.raises(Corrupted, match="unexpected digest"):
        await ref.unlazy()
    assert ref.lazy
    assert not is_unpacked(tmp_path)
    await ref.release()


async def test_a_line_that_breaks_tells_why(store: Store, sources: Sources, tmp_path: Path) -> None:
    seen = unpacking(tmp_path)

    async def broken() -> None:
        await seen()
        raise Unavailable("the line is cut")

    ref, _ = await lazy(store, sources, broken)
    with pytest.raises(CrozeError, match="the line is cut"):
        await ref.unlazy()
    await ref.release()


async def test_who_sends_may_begin_again(store: Store, sources: Sources, tmp_path: Path) -> None:
    ref, slow = await lazy(store, sources, unpacking(tmp_path))
    slow.again = True
    await ref.unlazy()
    assert await names_of(ref) == ["big", "first", "last"]
    assert sha256(slow._blob) in store.blobs.digests()
    await ref.release()


async def test_nobody_waits_in_a_worker_for_a_slow_line(
    store: Store, sources: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("croze.store.arrival.SOON_S", 0.0)

    async def turns() -> None:
        for _ in range(100):
            await asyncio.sleep(0)
        assert not is_unpacked(tmp_path)

    ref, _ = await lazy(store, sources, turns)
    await ref.unlazy()
    assert await names_of(ref) == ["big", "first", "last"]
    await ref.release()


async def test_who_unpacks_does_not_wait_for_ever(
    store: Store, sources: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever sends most of a layer at once, and then next to nothing, holds no worker."""
    monkeypatch.setattr("croze.fs.tar.arriving.PATIENCE_S", 0.1)
    seen, is_seen, ends = unpacking(tmp_path), threading.Event(), ArrivingFile._ends

    def ends_when_seen(file: ArrivingFile) -> bool:
        if is_unpacked(tmp_path):
            is_seen.wait(30)
        return ends(file)

    monkeypatch.setattr(ArrivingFile, "_ends", ends_when_seen)

    async def given_up() -> None:
        await seen()
        is_seen.set()
        async with asyncio.timeout(PATIENCE_S):
            while is_unpacked(tmp_path):
                await asyncio.sleep(0.001)

    ref, _ = await lazy(store, sources, given_up)
    await ref.unlazy()
    assert await names_of(ref) == ["big", "first", "last"]
    await ref.release()
