"""Lazy layers, unpacking, and refs as layer blobs."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import pytest

from croze.errors import Corrupted, NotFound
from croze.fs.tar.estargz import TOC_ANNOTATION
from croze.image.descriptor import (
    CREATED_ANNOTATION,
    DOCKER_LAYER_GZIP,
    OCI_LAYER_GZIP,
    OCI_LAYER_ZSTD,
    UNCOMPRESSED_ANNOTATION,
    Descriptor,
)
from croze.store.contract import (
    BlobStore,
    Compression,
    CompressionType,
    ImmutableRef,
    LayerBlob,
    LazyLayer,
)
from croze.store.open import Store
from tests.store.conftest import Opener
from tests.store.sources import Sources, sha256
from tests.store.trees import make_ref, names_of, tree_of

GZIP = Compression("gzip")
KINDS: tuple[CompressionType, ...] = ("gzip", "zstd", "uncompressed")


async def test_layers_are_fetched_when_needed(store: Store, sources: Sources) -> None:
    layers = [sources.layer({"a": b"1", "b": b"1"}), sources.layer({"c": b"2", ".wh.b": b""})]
    ref = await store.refs.from_layers(layers)
    assert ref is not None
    assert ref.lazy
    assert await ref.layers(GZIP)
    assert sources.fetched == []
    assert await tree_of(ref) == {"a": "1", "c": "2"}
    assert not ref.lazy
    assert sorted(sources.fetched) == sorted(x.blob.descriptor.digest for x in layers)
    await ref.release()


async def test_no_layers_is_no_ref(store: Store) -> None:
    assert await store.refs.from_layers([]) is None


async def test_known_layers_are_fetched_from_where_they_are_now(
    store: Store, sources: Sources
) -> None:
    gone, here = sources.layer({"a": b"1"}), sources.layer({"a": b"1"})
    store.refs.refresh_layers([here])
    ref = await store.refs.from_layers([LazyLayer(gone.blob, Gone())])
    assert ref is not None
    with pytest.raises(NotFound, match="its client has left"):
        await ref.unlazy()
    store.refs.refresh_layers([here])
    assert await tree_of(ref) == {"a": "1"}
    await ref.release()


class Gone:
    """A fetcher whose client has left."""

    origin: Mapping[str, str] = {"kind": "gone"}
    spent = False

    async def fetch(
        self, descriptor: Descriptor, blobs: BlobStore, sessions: Sequence[str]
    ) -> None:
        raise NotFound("its client has left")


async def test_the_same_layers_are_the_same_ref(store: Store, sources: Sources) -> None:
    base, top, other = (sources.layer({n: b"1"}) for n in ("a", "b", "c"))
    one = await store.refs.from_layers([base, top])
    two = await store.refs.from_layers([base, top])
    three = await store.refs.from_layers([base, other])
    assert one is not None
    assert two is not None
    assert three is not None
    assert one.id == two.id != three.id
    assert one.parent_ids == three.parent_ids
    await asyncio.gather(one.unlazy(), two.unlazy(), three.unlazy())
    assert len(sources.fetched) == 3
    for ref in (one, two, three):
        await ref.release()


def recompressed(sources: Sources, layer: LazyLayer) -> LazyLayer:
    """The same contents in another blob."""
    tar = gzip.decompress(sources.blobs[layer.blob.descriptor.digest])
    again = gzip.compress(tar, 1, mtime=1)
    sources.blobs[sha256(again)] = again
    descriptor = type(layer.blob.descriptor)(OCI_LAYER_GZIP, sha256(again), len(again))
    return LazyLayer(LayerBlob(descriptor, layer.blob.diff_id), layer.fetcher)


async def test_diff_ids_name_what_all_who_claim_them_have(store: Store, sources: Sources) -> None:
    """Before anything of theirs is there, too: two builds may have resolved their images."""
    one = sources.layer({"a": b"1"})
    other, alone = recompressed(sources, one), sources.layer({"b": b"1"})
    assert store.refs.refresh_layers([one])
    assert store.refs.refresh_layers([one])
    assert not store.refs.refresh_layers([other])
    assert not store.refs.refresh_layers([one])
    assert store.refs.refresh_layers([alone])
    for layer, certain in ((one, False), (other, True)):
        ref = await store.refs.from_layers([layer])
        assert ref is not None
        await ref.unlazy()
        assert store.refs.refresh_layers([layer]) == certain
        await ref.release()
    assert store.refs.refresh_layers([one])


async def test_other_compression_shares_the_snapshot(store: Store, sources: Sources) -> None:
    layer = sources.layer({"a": b"1"})
    other = recompressed(sources, layer)
    one = await store.refs.from_layers([layer])
    assert one is not None
    await one.unlazy()
    two = await store.refs.from_layers([other])
    assert two is not None
    assert two.id != one.id
    (blob,) = await two.layers(GZIP)
    assert blob.descriptor.digest == other.blob.descriptor.digest
    assert not store.refs.exists(two.id), "nobody has seen yet that it is the same"
    await two.unlazy()
    assert store.refs.exists(two.id)
    assert list(await two.mounts(readonly=True)) == list(await one.mounts(readonly=True))
    await one.release()
    await two.release()


async def test_who_claims_the_same_is_doubted_until_seen(opener: Opener, sources: Sources) -> None:
    """Whoever of them came first, and after a restart, too."""
    good, other = sources.layer({"a": b"1"}), sources.layer({"b": b"2"})
    liar = LazyLayer(LayerBlob(other.blob.descriptor, good.blob.diff_id), other.fetcher)
    async with opener() as store:
        refs = [await store.refs.from_layers([layer]) for layer in (liar, good)]
        ids = [ref.id for ref in refs if ref is not None]
        for ref in refs:
            assert ref is not None
            await ref.release()
        assert [store.refs.exists(id) for id in ids] == [False, False]
    async with opener() as store:
        assert [store.refs.exists(id) for id in ids] == [False, False]
        lied, ref = [await store.refs.get(id) for id in ids]
        await ref.unlazy()
        with pytest.raises(Corrupted, match="diff ID"):
            await lied.unlazy()
        await lied.release()
        await ref.release()
    async with opener() as store:
        assert [store.refs.exists(id) for id in ids] == [False, True]


async def test_lazy_refs_survive_a_restart(opener: Opener, sources: Sources) -> None:
    layer = sources.layer({"a": b"1"})
    async with opener() as store:
        ref = await store.refs.from_layers([layer])
        assert ref is not None
        await ref.release()
    async with opener() as store:
        again = await store.refs.get(ref.id)
        assert again.lazy
        await again.fetch_blob(layer.blob.descriptor.digest)
        assert store.blobs.has(layer.blob.descriptor.digest)
        assert await tree_of(again) == {"a": "1"}
        await again.release()


async def test_a_lazy_ref_that_can_not_be_fetched_does_not_exist(
    opener: Opener, sources: Sources
) -> None:
    far, near = sources.layer({"a": b"1"}), sources.layer({"b": b"2"})
    async with opener() as store:
        lazy = await store.refs.from_layers([far])
        here = await store.refs.from_layers([near])
        assert lazy is not None
        assert here is not None
        await here.fetch_blob(near.blob.descriptor.digest)
        sources.spent = True
        assert [store.refs.exists(ref.id) for ref in (lazy, here)] == [False, True]
        again = await store.refs.from_layers([far])
        assert again is not None
        sources.spent = False
        assert store.refs.exists(again.id)
        for ref in (lazy, here, again):
            await ref.release()
    async with opener() as store:
        assert store.refs.exists(lazy.id)
    sources.forgotten = True
    async with opener() as store:
        assert [store.refs.exists(ref.id) for ref in (lazy, here)] == [False, True]


async def test_a_lying_layer_is_refused(opener: Opener, sources: Sources) -> None:
    good = sources.layer({"a": b"1"})
    liar = LazyLayer(LayerBlob(good.blob.descriptor, sha256(b"other")), good.fetcher)
    async with opener() as store:
        ref = await store.refs.from_layers([liar])
        assert ref is not None
        with pytest.raises(Corrupted, match="diff ID"):
            await ref.unlazy()
        assert ref.lazy
        await ref.release()


async def test_a_missing_blob_is_an_error_that_can_be_retried(
    store: Store, sources: Sources
) -> None:
    layer = sources.layer({"a": b"1"})
    content = sources.blobs.pop(layer.blob.descriptor.digest)
    ref = await store.refs.from_layers([layer])
    assert ref is not None
    with pytest.raises(NotFound):
        await ref.unlazy()
    assert not store.refs.exists(ref.id), "a build had better make it again"
    sources.blobs[layer.blob.descriptor.digest] = content
    await ref.unlazy()
    assert store.refs.exists(ref.id)
    await ref.release()


async def test_layer_blobs_are_made_once(store: Store) -> None:
    base = await make_ref(store.refs, None, {"a": "1", "gone": "x"})
    child = await make_ref(store.refs, base, {"b": "2"}, "gone")
    assert child.known_layers() is None
    one, two = await asyncio.gather(child.layers(GZIP), child.layers(GZIP))
    assert one == two == child.known_layers()
    assert len(one) == 2
    for blob in one:
        data = store.blobs.read(blob.descriptor.digest)
        assert len(data) == blob.descriptor.size
        assert sha256(gzip.decompress(data)) == blob.diff_id
        assert blob.descriptor.media_type == OCI_LAYER_GZIP
        assert blob.descriptor.annotations[UNCOMPRESSED_ANNOTATION] == blob.diff_id
        created = datetime.fromisoformat(blob.descriptor.annotations[CREATED_ANNOTATION][:19])
        assert abs((datetime.now(UTC) - created.replace(tzinfo=UTC)).total_seconds()) < 3600
    await base.release()
    await child.release()


async def test_a_step_without_changes_makes_a_layer(store: Store) -> None:
    base = await make_ref(store.refs, None, {"a": "1"})
    child = await make_ref(store.refs, base, {})
    layers = await child.layers(GZIP)
    assert layers[1].diff_id == sha256(bytes(1024))
    await base.release()
    await child.release()


async def test_made_layers_unpack_to_the_same_tree(opener: Opener, sources: Sources) -> None:
    async with opener() as store:
        base = await make_ref(store.refs, None, {"a": "1", "d/x": "2", "e/f/g": "3"})
        child = await make_ref(store.refs, base, {"d/z": "4"}, "d", "e/f/g")
        layers = await child.layers(Compression("zstd"))
        assert [x.descriptor.media_type for x in layers] == [OCI_LAYER_ZSTD] * 2
        names = await names_of(child)
        found = await store.refs.from_layers([LazyLayer(x, sources.fetcher({})) for x in layers])
        assert found is not None
        assert found.id == child.id
        for layer in layers:
            sources.blobs[layer.descriptor.digest] = store.blobs.read(layer.descriptor.digest)
        for ref in (base, child, found):
            await ref.release()
    opener.root = opener.root.with_name("other")
    async with opener() as store:
        copy = await store.refs.from_layers([LazyLayer(x, sources.fetcher({})) for x in layers])
        assert copy is not None
        assert await names_of(copy) == names
        await copy.release()


async def test_forced_compression_converts(store: Store, sources: Sources) -> None:
    layer = sources.layer({"a": b"1" * 5000})
    ref = await store.refs.from_layers([layer])
    assert ref is not None
    (same,) = await ref.layers(Compression("zstd"))
    assert same.descriptor.digest == layer.blob.descriptor.digest
    (other,) = await ref.layers(Compression("zstd", force=True))
    assert other.descriptor.media_type == OCI_LAYER_ZSTD
    assert other.diff_id == layer.blob.diff_id
    assert await ref.layers(Compression("zstd", force=True)) == [other]
    (docker,) = await ref.layers(Compression("gzip", force=True, oci_types=False))
    assert docker.descriptor.media_type == DOCKER_LAYER_GZIP
    assert docker.descriptor.digest == layer.blob.descriptor.digest
    await ref.release()


async def test_estargz_comes_and_goes(opener: Opener, sources: Sources) -> None:
    """A blob that nobody said is eStargz is found out; its table is no part of other kinds."""
    layer = sources.layer({"a": b"1" * 5000, "d": None})
    async with opener() as store:
        ref = await store.refs.from_layers([layer])
        assert ref is not None
        (star,) = await ref.layers(Compression("estargz", force=True))
        assert star.descriptor.media_type == OCI_LAYER_GZIP
        assert TOC_ANNOTATION in star.descriptor.annotations
        assert star.diff_id != layer.blob.diff_id
        assert await ref.layers(Compression("estargz", force=True)) == [star]
        sources.blobs[star.descriptor.digest] = store.blobs.read(star.descriptor.digest)
        await ref.release()
    plain = Descriptor(OCI_LAYER_GZIP, star.descriptor.digest, star.descriptor.size)
    opener.root = opener.root.with_name("other")
    async with opener() as store:
        layers = [LazyLayer(LayerBlob(plain, star.diff_id), sources.fetcher({}))]
        copy = await store.refs.from_layers(layers)
        assert copy is not None
        assert await tree_of(copy) == {"a": "1" * 5000}
        for kind in KINDS:
            (other,) = await copy.layers(Compression(kind, force=True))
            assert other.diff_id == layer.blob.diff_id
            assert TOC_ANNOTATION not in other.descriptor.annotations
        (same,) = await copy.layers(Compression("estargz", force=True))
        assert same.descriptor.digest == star.descriptor.digest
        await copy.release()


async def test_merged_refs_keep_their_layers(store: Store) -> None:
    a = await make_ref(store.refs, None, {"a": "1"})
    b = await make_ref(store.refs, None, {"b": "2"})
    merged = await store.refs.merge([a, b])
    layers = await merged.layers(GZIP)
    assert layers == [*await a.layers(GZIP), *await b.layers(GZIP)]
    diff = await store.refs.diff(a, merged)
    assert await diff.layers(GZIP) == await b.layers(GZIP)
    for ref in (a, b, merged, diff):
        await ref.release()


async def test_a_computed_difference_is_a_layer_with_whiteouts(
    store: Store, sources: Sources
) -> None:
    left = await make_ref(store.refs, None, {"old": "1"})
    right = await make_ref(store.refs, None, {"new": "2"})
    diff = await store.refs.diff(left, right)
    (layer,) = await diff.layers(GZIP)
    data = gzip.decompress(store.blobs.read(layer.descriptor.digest))
    assert b".wh.old" in data
    assert sha256(data) == layer.diff_id
    for ref in (left, right, diff):
        await ref.release()


async def test_chains_longer_than_a_page_of_options(store: Store) -> None:
    length = 130 if store.snapshotter == "overlayfs" else 3
    ref: ImmutableRef = await make_ref(store.refs, None, {"0": "x"})
    for number in range(1, length):
        child = await make_ref(store.refs, ref, {str(number): "x"})
        await ref.release()
        ref = child
    assert len(await tree_of(ref)) == length
    assert len(await ref.layers(Compression("uncompressed"))) == length
    await ref.release()


async def test_a_cancelled_fetch_is_taken_over(store: Store, sources: Sources) -> None:
    sources.gate = asyncio.Event()
    ref = await store.refs.from_layers([sources.layer({"a": b"1"}), sources.layer({"b": b"2"})])
    assert ref is not None
    async with asyncio.TaskGroup() as group:
        first = group.create_task(ref.unlazy())
        await sources.started.wait()
        second = group.create_task(ref.unlazy())
        first.cancel()
        await asyncio.wait([first])
        assert first.cancelled()
        assert not second.done()
        sources.gate.set()
    assert not ref.lazy
    assert await tree_of(ref) == {"a": "1", "b": "2"}
    await ref.release()


async def test_cancelled_work_leaves_nothing(store: Store) -> None:
    base = await make_ref(store.refs, None, {str(n): "x" * 10_000 for n in range(200)})
    for steps in range(1, 12):
        async with asyncio.TaskGroup() as group:
            task = group.create_task(base.layers(Compression("gzip")))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
    assert len(await base.layers(Compression("gzip"))) == 1
    assert list((store.root / "ingest").iterdir()) == []
    await base.release()
