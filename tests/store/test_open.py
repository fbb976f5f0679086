"""Opening, sweeping and verifying a store."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from croze.errors import InvalidRequest
from croze.store.contract import Compression, PrunePolicy
from croze.store.open import open_store
from croze.store.records import RecordData
from croze.workers.pool import WorkerPool
from tests.store.conftest import Opener, root_only
from tests.store.pools import ThreadPool
from tests.store.sources import Sources
from tests.store.trees import make_ref, tree_of

pytestmark = [pytest.mark.root, root_only]


async def test_a_root_keeps_its_snapshotter(tmp_path: Path) -> None:
    store = await open_store(tmp_path, ThreadPool(), snapshotter="native")
    assert store.snapshotter == "native"
    await store.close()
    with pytest.raises(InvalidRequest, match="another root"):
        await open_store(tmp_path, ThreadPool(), snapshotter="overlayfs")
    store = await open_store(tmp_path, ThreadPool())
    assert store.snapshotter == "native"
    await store.close()


async def test_verify_finds_what_is_broken(opener: Opener) -> None:
    async with opener() as store:
        ref = await make_ref(store.refs, None, {"a": "1"})
        (layer,) = await ref.layers(Compression("gzip"))
        await ref.release()
        store.blobs.path(layer.descriptor.digest).write_bytes(b"rot")
        (opener.root / "snapshots" / "99").mkdir()
        problems = await store.verify()
        assert len(problems) == 2
        assert "has the digest" in problems[1]
        assert "snapshots/99" in problems[0]


async def test_lost_parts_are_swept_with_what_lies_on_them(opener: Opener) -> None:
    async with opener() as store:
        base = await make_ref(store.refs, None, {"a": "1"})
        child = await make_ref(store.refs, base, {"b": "1"})
        other = await make_ref(store.refs, None, {"c": "1"})
        (layer,) = await other.layers(Compression("gzip"))
        for ref in (base, child, other):
            await ref.release()
        store.db.write("DELETE FROM records WHERE id = ?", base.id)
        store.blobs.delete(layer.descriptor.digest)
    async with opener() as store:
        assert await store.verify() == []
        assert not store.refs.exists(child.id)
        again = await store.refs.get(other.id)
        assert again.known_layers() is None
        assert (await again.layers(Compression("gzip")))[0].diff_id == layer.diff_id
        await again.release()
        assert len(await store.refs.disk_usage()) == 1


async def test_what_an_older_version_wrote_down_too_early_goes_once(opener: Opener) -> None:
    """It had rows for refs that were being written, too."""
    async with opener() as store:
        ref = await make_ref(store.refs, None, {"a": "1"})
        await ref.release()
        row = msgspec.msgpack.encode(RecordData("unfinished", parents=(ref.id,), mutable=True))
        store.db.write("INSERT INTO records VALUES ('unfinished', ?)", row)
        store.db.write("INSERT INTO usage VALUES ('unfinished', 1, 1, NULL)")
    async with opener() as store:
        assert not store.refs.exists("unfinished")
        for table in ("records", "usage"):
            assert store.db.read(f"SELECT id FROM {table}") == [(ref.id,)]
        gone = [record.id async for record in store.refs.prune([PrunePolicy(all=True)])]
        assert gone == [ref.id]


async def test_with_real_workers(tmp_path: Path, sources: Sources) -> None:
    async with WorkerPool(1) as pool:
        store = await open_store(tmp_path, pool, fetchers=sources.fetcher)
        ref = await store.refs.from_layers([sources.layer({"a": b"1"})])
        assert ref is not None
        assert await tree_of(ref) == {"a": "1"}
        child = await make_ref(store.refs, ref, {"b": "2"}, "a")
        assert len(await child.layers(Compression("zstd", force=True))) == 2
        diff = await store.refs.diff(child, ref)
        assert await tree_of(diff) == {"a": "1"}
        assert all(r.size > 0 for r in await store.refs.disk_usage())
        for each in (ref, child, diff):
            await each.release()
        assert len([r async for r in store.refs.prune([PrunePolicy(all=True)])]) == 3
        assert await store.verify() == []
        await store.close()


async def test_verify_beside_deletions(opener: Opener) -> None:
    """As at a start, when what nobody needs goes while someone asks."""
    async with opener() as store:
        for number in range(5):
            await store.blobs.put(b"%d" % number)
        async with asyncio.TaskGroup() as group:
            verifying = group.create_task(store.verify())
            await asyncio.sleep(0)
            for digest in store.blobs.digests():
                store.blobs.delete(digest)
        assert verifying.result() == []
