"""A full disk is one clear error; the store still opens, and prune makes room."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from io import RawIOBase
from pathlib import Path

import pytest

from croze.errors import ResourceExhausted
from croze.fs.mount import unmount
from croze.history.history import BuildHistory, Expiry
from croze.store.contract import Compression, MountSpec, PrunePolicy, SnapshotterName
from croze.store.disk import is_full
from croze.store.mount import mount
from croze.store.open import open_store
from tests.history.conftest import finished, record
from tests.store.conftest import root_only
from tests.store.pools import ThreadPool
from tests.store.trees import make_ref, tree_of
from tests.support.waiting import PATIENCE_S

pytestmark = [pytest.mark.root, root_only]


@pytest.fixture
def small(tmp_path: Path, private_namespace: None) -> Iterator[Path]:
    mount(MountSpec("tmpfs", "tmpfs", ("size=12m",)), tmp_path)
    try:
        yield tmp_path
    finally:
        unmount(tmp_path)


def fill(path: Path) -> None:
    """To the last byte."""
    with open(path / "filler", "ab", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            while not _full_for(file, size):
                pass


def _full_for(file: RawIOBase, size: int) -> bool:
    try:
        file.write(bytes(size))
    except OSError as error:
        if not is_full(error):
            raise
        return True
    return False


async def test_full_disk(small: Path, kind: SnapshotterName) -> None:
    root = small / "root"
    store = await open_store(root, ThreadPool(), snapshotter=kind)
    ref = await make_ref(store.refs, None, {"a": "x" * 1_000_000})
    idle = await make_ref(store.refs, None, {"b": "y" * 1_000_000})
    await idle.release()
    fill(small)
    with pytest.raises(ResourceExhausted, match="no space left"):
        await store.blobs.put(b"z" * 10_000)
    with pytest.raises(ResourceExhausted, match="no space left"):
        await ref.layers(Compression("uncompressed"))
    assert await tree_of(ref) == {"a": "x" * 1_000_000}
    await store.close()

    store = await open_store(root, ThreadPool(), snapshotter=kind)
    assert await store.verify() == []
    gone = [r async for r in store.refs.prune([PrunePolicy(filters=(f"id=={idle.id}",))])]
    assert [r.id for r in gone] == [idle.id]
    again = await store.refs.get(ref.id)
    assert len(await again.layers(Compression("gzip"))) == 1
    await again.release()
    await store.close()


async def test_records_of_builds_can_be_deleted(small: Path) -> None:
    store = await open_store(small / "root", ThreadPool(), snapshotter="native")
    async with BuildHistory(store, Expiry()) as history:
        await history.finish("a", finished(record("a")))
        fill(small)
        await history.delete("a")
        assert await history.find("a") is None
    await store.close()


async def test_metadata_alone_can_not_fill_the_disk(small: Path) -> None:
    root = small / "root"
    store = await open_store(root, ThreadPool(), snapshotter="overlayfs")
    fill(small)
    made = 0

    async def make() -> None:
        nonlocal made
        while True:
            ref = await store.refs.new(None)
            await (await ref.commit()).release()
            made += 1

    with pytest.raises(ResourceExhausted, match="no space left"):
        await make()
    assert await store.verify() == []
    assert sum(not r.mutable for r in await store.refs.disk_usage()) == made, "as on the disk"
    await asyncio.wait_for(store.close(), PATIENCE_S)
    store = await open_store(root, ThreadPool(), snapshotter="overlayfs")
    assert await store.verify() == []
    assert len(await store.refs.disk_usage()) == made
    gone = [r async for r in store.refs.prune([PrunePolicy(all=True)])]
    assert len(gone) == made
    await store.close()
