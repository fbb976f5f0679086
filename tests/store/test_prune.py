"""`du` and `prune` on real records."""

from __future__ import annotations

from types import SimpleNamespace

import msgspec
import pytest

from croze.errors import InvalidRequest, NotFound, ResourceExhausted
from croze.image.descriptor import OCI_CONFIG, OCI_MANIFEST, Descriptor
from croze.store.contract import Compression, PrunePolicy, Sharing, UsageRecord
from croze.store.open import Store
from tests.store.conftest import Opener
from tests.store.sources import Sources
from tests.store.trees import make_ref, tree_of, write_tree

ALL = [PrunePolicy(all=True)]


async def pruned(store: Store, policies: list[PrunePolicy] = ALL) -> list[UsageRecord]:
    return [record async for record in store.refs.prune(policies)]


async def test_prune_leaves_what_is_held(store: Store) -> None:
    base = await make_ref(store.refs, None, {"a": "1"})
    child = await make_ref(store.refs, base, {"b": "2"})
    idle = await make_ref(store.refs, base, {"c": "3"})
    idle.side_file("index").write_text("x")
    await base.release()
    await idle.release()
    assert [r.id for r in await pruned(store)] == [idle.id]
    assert await tree_of(child) == {"a": "1", "b": "2"}
    await child.release()
    assert [r.id for r in await pruned(store)] == [child.id, base.id]
    assert await store.refs.disk_usage() == []
    files = [p for p in (store.root / "snapshots").rglob("*") if p.is_file()]
    assert files == []
    assert list((store.root / "side").iterdir()) == []


async def test_what_is_taken_hold_of_while_others_go_stays(store: Store) -> None:
    for name in ("a", "b"):
        await (await make_ref(store.refs, None, {name: "1"})).release()
    ids = {record.id for record in await store.refs.disk_usage()}
    pruning = store.refs.prune(ALL)
    first = await anext(pruning)
    (other,) = ids - {first.id}
    held = await store.refs.get(other)
    assert [record async for record in pruning] == []
    assert len(await tree_of(held)) == 1
    await held.release()


async def test_a_policy_with_a_filter_that_is_none_has_nothing_go_by_others(store: Store) -> None:
    await (await make_ref(store.refs, None, {"a": "1"})).release()
    with pytest.raises(InvalidRequest):
        await pruned(store, [*ALL, PrunePolicy(filters=("==",))])
    assert len(await store.refs.disk_usage()) == 1


async def test_disk_usage_tells_true_bytes(store: Store) -> None:
    base = await make_ref(store.refs, None, {"a": "x" * 100_000})
    child = await make_ref(store.refs, base, {"b": "y" * 200_000})
    await base.layers(Compression("uncompressed"))
    await base.release()
    records = {r.id: r for r in await store.refs.disk_usage()}
    assert set(records) == {base.id, child.id}
    assert 200_000 <= records[base.id].size < 240_000
    extra = 100_000 if store.snapshotter == "native" else 0
    assert 200_000 + extra <= records[child.id].size < 240_000 + extra
    assert records[child.id].parents == (base.id,)
    assert records[base.id].in_use
    assert records[child.id].record_type == "regular"
    assert records[child.id].created_at.tzinfo is not None
    await child.release()
    assert [r.id for r in await store.refs.disk_usage(["inuse"])] == []
    assert len(await store.refs.disk_usage(["immutable"])) == 2
    with pytest.raises(InvalidRequest):
        await store.refs.disk_usage(["=="])


async def test_blobs_go_with_their_records(store: Store) -> None:
    ref = await make_ref(store.refs, None, {"a": "1"})
    (layer,) = await ref.layers(Compression("gzip"))
    loose = await store.blobs.put(b"loose")
    await pruned(store)
    assert store.blobs.has(layer.descriptor.digest)
    assert store.blobs.has(loose)  # just written, while work is under way
    await ref.layers(Compression("zstd", force=True))
    await ref.release()
    assert await pruned(store, [PrunePolicy(filters=("id==another",))]) == []
    assert len(store.blobs.digests()) == 2  # as gzip and as zstd: no use of them is fresh enough
    assert not store.blobs.has(loose)
    await pruned(store)
    assert not store.blobs.has(layer.descriptor.digest)
    assert store.blobs.digests() == ()


async def test_work_spares_what_was_used_since_it_began(store: Store) -> None:
    before = await store.blobs.put(b"used by a build that is over")
    async with store.refs.lease():
        since = await store.blobs.put(b"fetched for what is about to hold it")
        await pruned(store)
        assert not store.blobs.has(before)
        assert store.blobs.has(since)
    await pruned(store)
    assert not store.blobs.has(since)


async def test_images_and_leases_hold_blobs(opener: Opener) -> None:
    async with opener() as store:
        ref = await make_ref(store.refs, None, {"a": "1"})
        (layer,) = await ref.layers(Compression("gzip"))
        await ref.release()
        config = Descriptor(OCI_CONFIG, await store.blobs.put(b"{}"), 2)
        text = msgspec.json.encode({"config": config, "layers": [layer.descriptor]})
        manifest = await store.blobs.put(text)
        store.images.set("docker.io/library/app:latest", Descriptor(OCI_MANIFEST, manifest, 1))
        with pytest.raises(NotFound):
            store.images.set("x", Descriptor(OCI_MANIFEST, "sha256:" + "0" * 64, 1))
        blob = await store.blobs.put(b"kept by name")
        store.leases.keep("history/1", [blob])
        await pruned(store)
        assert len(store.blobs.digests()) == 4
    async with opener() as store:
        await pruned(store)
        assert len(store.blobs.digests()) == 4
        (image,) = store.images.list()
        assert image == store.images.get("docker.io/library/app:latest")
        assert image.target.digest == manifest
        async with store.refs.lease() as lease:
            lease.hold(manifest)
            store.images.delete(image.name)
            store.leases.drop("history/1")
            await pruned(store)
            assert len(store.blobs.digests()) == 3
        await pruned(store)
        assert store.blobs.digests() == ()
        with pytest.raises(NotFound):
            store.images.delete(image.name)


async def test_cache_mounts_are_pruned_when_idle(store: Store) -> None:
    async with store.refs.cache_mount("id", None, Sharing.SHARED) as ref:
        async with ref.mounted(readonly=False) as root:
            write_tree(root, {"a": "1"})
        assert await pruned(store) == []
        (usage,) = await store.refs.disk_usage()
        assert usage.in_use
        assert usage.mutable
    (usage,) = await store.refs.disk_usage(["type==exec.cachemount"])
    assert usage.size > 0
    assert not usage.in_use
    assert [r.id for r in await pruned(store)] == [ref.id]


async def test_twins_are_one_record(store: Store) -> None:
    ref = await store.refs.new(None, record_type="source.local")
    view = await ref.commit(retain=True)
    assert [r.id for r in await store.refs.disk_usage()] == [view.id]
    assert await pruned(store) == []
    await view.release()
    assert [r.id for r in await store.refs.disk_usage()] == [ref.id]
    assert [r.id for r in await pruned(store)] == [ref.id]
    assert not store.refs.exists(view.id)


async def test_lazy_records_take_nothing_and_go(store: Store, sources: Sources) -> None:
    ref = await store.refs.from_layers([sources.layer({"a": b"1"}), sources.layer({"b": b"1"})])
    assert ref is not None
    assert [r.size for r in await store.refs.disk_usage()] == [0, 0]
    await ref.release()
    assert len(await pruned(store)) == 2


async def test_merged_refs_hold_their_parts(store: Store) -> None:
    a = await make_ref(store.refs, None, {"d/a": "1"})
    b = await make_ref(store.refs, a, {"d/b": "1"}, "d")
    c = await make_ref(store.refs, None, {"c": "1"})
    diff = await store.refs.diff(a, b)
    merged = await store.refs.merge([c, diff])
    tree = await tree_of(merged)
    for ref in (a, b, c, diff):
        await ref.release()
    assert await pruned(store) == []
    assert await tree_of(merged) == tree == {"d/b": "1", "c": "1"}
    await merged.release()
    assert len(await pruned(store)) == 5
    assert await store.verify() == []


async def test_usage_survives_a_restart(opener: Opener) -> None:
    async with opener() as store:
        ref = await make_ref(store.refs, None, {"a": "1"})
        await ref.release()
        for _ in range(3):
            await (await store.refs.get(ref.id)).release()
            await (await store.refs.get(ref.id, uses=False)).release()
        (before,) = await store.refs.disk_usage()
    async with opener() as store:
        assert await store.refs.disk_usage() == [before]
        assert before.usage_count == 4


HOUR = [PrunePolicy(keep_duration_s=3600, all=True)]


async def every_kind(store: Store, sources: Sources) -> None:
    """One idle record at least of each way that records come to be."""
    await (
        await (await store.refs.new(None, record_type="source.local")).commit(retain=True)
    ).release()
    async with store.refs.cache_mount("id", None, Sharing.SHARED):
        pass
    lazy = await store.refs.from_layers([sources.layer({"a": b"1"}), sources.layer({"b": b"1"})])
    a = await make_ref(store.refs, None, {"a": "1"})
    b = await make_ref(store.refs, a, {"b": "1"})
    held = [lazy, a, b, await store.refs.diff(a, b), await store.refs.merge([a, b])]
    for ref in held:
        assert ref is not None
        await ref.release()


async def test_what_was_made_or_used_a_moment_ago_stays(opener: Opener, sources: Sources) -> None:
    async with opener() as store:
        await every_kind(store, sources)
        before = {r.id: r for r in await store.refs.disk_usage()}
        assert len(before) == 8
        assert await pruned(store, HOUR) == []
    async with opener() as store:
        assert {r.id: r for r in await store.refs.disk_usage()} == before
        assert await pruned(store, HOUR) == []
        assert len(await pruned(store)) == 8


async def test_a_clock_that_was_set_back_hides_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await (await make_ref(store.refs, None, {"a": "1"})).release()
    monkeypatch.setattr("croze.store.prune.time", SimpleNamespace(time=lambda: 0.0))
    assert len(await store.refs.disk_usage()) == 1
    assert await store.refs.disk_usage(unused_s=1.0) == []


async def test_a_directory_used_again_counts_on(store: Store) -> None:
    ref = await store.refs.new(None, record_type="source.local")
    for uses in (1, 2, 3):
        view = await ref.commit(retain=True)
        (usage,) = await store.refs.disk_usage()
        assert (usage.id, usage.usage_count) == (view.id, uses - 1)
        again = await store.refs.get(view.id)
        for handle in (view.clone(), view, again):
            await handle.release()
        (usage,) = await store.refs.disk_usage()
        assert (usage.id, usage.usage_count) == (ref.id, uses)
        ref = await store.refs.get_mutable(ref.id)
    await ref.release()


async def test_the_end_of_a_use_is_its_time(store: Store) -> None:
    for sharing in (Sharing.SHARED, Sharing.SHARED, Sharing.LOCKED):
        async with store.refs.cache_mount("id", None, sharing):
            (during,) = await store.refs.disk_usage()
        (after,) = await store.refs.disk_usage()
        assert after.last_used_at > during.last_used_at
    assert after.usage_count == 3


async def test_a_lease_that_could_not_be_dropped_still_holds(store: Store) -> None:
    log = await store.blobs.put(b"log")
    store.leases.keep("history/1", [log])

    def drop_in_vain() -> None:
        with store.db.transaction():
            store.leases.drop("history/1")
            raise ResourceExhausted("no space left on device")

    with pytest.raises(ResourceExhausted):
        drop_in_vain()
    assert store.leases.held_blobs() == {log}
