"""Chains of layers of any length, which an image, or a cache's result, says in a few bytes each."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence

import pytest

from croze.errors import InvalidRequest
from croze.image.descriptor import Descriptor
from croze.image.manifest import LAYERS_MOST
from croze.store import lazy
from croze.store.contract import BlobStore, Compression, LazyLayer
from croze.store.layer_blobs import are_alike
from croze.store.open import Store
from croze.store.unpack import FETCHED_AT_ONCE
from tests.store.sources import Sources


async def test_a_chain_costs_what_it_is_long(
    store: Store, sources: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = 0

    def counted(one: Descriptor, other: Descriptor) -> bool:
        nonlocal compared
        compared += 1
        return are_alike(one, other)

    monkeypatch.setattr(lazy, "are_alike", counted)
    layers = [sources.layer({"a": b"1"})] * 400
    refs = [await store.refs.from_layers(layers) for _ in range(2)]
    assert compared <= len(layers)
    assert store.refs.refresh_layers(layers)
    assert compared <= 3 * len(layers)
    assert len({ref.id for ref in refs if ref is not None}) == 1
    for ref in refs:
        assert ref is not None
        await ref.release()


async def test_more_layers_than_anybody_has(store: Store, sources: Sources) -> None:
    layers = [sources.layer({"a": b"1"})] * (LAYERS_MOST + 1)
    message = f"{len(layers)} layers: no more than {LAYERS_MOST} can be on top of each other"
    with pytest.raises(InvalidRequest, match=message):
        await store.refs.from_layers(layers)
    with pytest.raises(InvalidRequest, match=message):
        store.refs.refresh_layers(layers)
    assert not await store.refs.disk_usage()


async def test_no_part_of_a_chain_is_left_of_one_that_is_refused(
    store: Store, sources: Sources
) -> None:
    good, bad = sources.layer({"a": b"1"}), sources.layer({"b": b"1"})
    nameless = LazyLayer(type(bad.blob)(bad.blob.descriptor, ""), bad.fetcher)
    with pytest.raises(InvalidRequest, match="has no diff ID"):
        await store.refs.from_layers([good, nameless])
    assert not await store.refs.disk_usage()


class Crowd:
    """A fetcher that knows how many are at work at once, and how many files are open then."""

    origin: Mapping[str, str] = {"kind": "crowd"}
    spent = False

    def __init__(self, blobs: Mapping[str, bytes]) -> None:
        self._blobs = blobs
        self._now = 0
        self.most = self.most_open = 0

    async def fetch(
        self, descriptor: Descriptor, blobs: BlobStore, sessions: Sequence[str]
    ) -> None:
        self._now += 1
        self.most = max(self.most, self._now)
        async with blobs.writer() as writer:
            for _ in range(3):
                await asyncio.sleep(0)
            self.most_open = max(self.most_open, len(os.listdir("/proc/self/fd")))
            writer.write(self._blobs[descriptor.digest])
            await writer.commit(digest=descriptor.digest, size=descriptor.size)
        self._now -= 1


async def test_few_of_many_layers_have_files_open(store: Store, sources: Sources) -> None:
    """While they come, and when they have come and are not unpacked yet."""
    before = len(os.listdir("/proc/self/fd"))
    layers = [sources.layer({f"f{number}": b"1"}) for number in range(120)]
    crowd = Crowd(sources.blobs)
    ref = await store.refs.from_layers([LazyLayer(layer.blob, crowd) for layer in layers])
    assert ref is not None
    await ref.unlazy()
    assert crowd.most <= FETCHED_AT_ONCE
    assert crowd.most_open - before < 6 * FETCHED_AT_ONCE
    async with ref.mounted(readonly=True) as root:
        assert len(os.listdir(root)) == len(layers)
    await ref.release()


async def test_few_of_many_layers_are_brought_at_once(store: Store, sources: Sources) -> None:
    """For an exporter, which needs blobs alone."""
    layers = [sources.layer({f"f{number}": b"1"}) for number in range(3 * FETCHED_AT_ONCE)]
    crowd = Crowd(sources.blobs)
    ref = await store.refs.from_layers([LazyLayer(layer.blob, crowd) for layer in layers])
    assert ref is not None
    await ref.layers(Compression("gzip"), fetch=True)
    assert crowd.most == FETCHED_AT_ONCE
    assert all(store.blobs.has(layer.blob.descriptor.digest) for layer in layers)
    await ref.release()
