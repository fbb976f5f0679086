"""From the solver's records to a cache config and the layers that it is about."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence, Set
from contextlib import AsyncExitStack
from typing import Literal

from msgspec import Struct, field

from croze.aio.parallel import all_of
from croze.cachekeys.contract import StoredResult
from croze.errors import CrozeError
from croze.image.descriptor import Descriptor
from croze.remotecache.chains import Chains, PendingRecord, ResultLayers
from croze.remotecache.config import CacheConfig
from croze.solver.chain import Chain
from croze.solver.contract import Result, ResultStore
from croze.store.contract import Compression, ImmutableRef
from croze.store.watch_contract import LayerWatch

Mode = Literal["min", "max", "known"]
"""Which results get their layers made: those of the last steps, all, or none. Others are only
written if their layers are there anyway."""

_MADE_AT_ONCE = 4
"""Stacks of layers; each of them is work for the workers, of which there are as many as cores."""

RefOf = Callable[[Result], ImmutableRef | None]


class GatheredLayer(Struct, frozen=True):
    """A layer, and a ref that has its bytes or can fetch them."""

    descriptor: Descriptor
    diff_id: str
    ref: ImmutableRef


class GatheredCache(Struct):
    """A cache that can be exported: its config, and `layers` by blob digest."""

    config: CacheConfig
    layers: dict[str, GatheredLayer] = field(default_factory=dict)


class Gatherer:
    """Collects records; the refs it looks at are held by `stack`."""

    def __init__(
        self,
        results: ResultStore,
        ref_of: RefOf,
        compression: Compression,
        sessions: Sequence[str],
        stack: AsyncExitStack,
        watch: LayerWatch | None = None,
    ) -> None:
        """`watch` is told of the layers that are made."""
        self._results = results
        self._ref_of = ref_of
        self._compression = compression
        self._sessions = sessions
        self._stack = stack
        self._watch = watch
        self._chains = Chains()
        self._layers: dict[str, GatheredLayer] = {}
        self._known: dict[tuple[str, bool], tuple[str, ...]] = {}

    async def add(self, chain: Chain, mode: Mode) -> None:
        """Add all records of a chain."""
        layers = _to_make(chain, mode)
        await self._make(chain, layers)
        items: list[PendingRecord] = []
        for place, record in enumerate(chain.records):
            result = None
            if record.result is not None:
                blobs = self._known[record.result.id, place in layers]
                result = ResultLayers(blobs, record.result.created_at) if blobs else None
            inputs = [[(items[e.record], e.selector) for e in links] for links in record.inputs]
            items.append(self._chains.add(record.digest, inputs, result))

    def gathered(self) -> GatheredCache:
        """All that was added."""
        return GatheredCache(self._chains.config(), self._layers)

    async def _make(self, chain: Chain, layers: Set[int]) -> None:
        """Know the blobs of all results; the layers that are to be made are made side by side."""
        slots = asyncio.Semaphore(_MADE_AT_ONCE)

        async def make(key: tuple[str, bool], ref: ImmutableRef) -> None:
            async with slots:
                self._known[key] = await self._blobs(ref)

        unmade: dict[tuple[str, bool], ImmutableRef] = {}
        for place, record in enumerate(chain.records):
            if record.result is None:
                continue
            key = record.result.id, place in layers
            if key in self._known or key in unmade:
                continue
            ref = await self._load(record.result)
            has_layers = ref is not None and ref.known_layers() is not None
            if ref is None or not (has_layers or place in layers):
                self._known[key] = ()
            elif has_layers and not self._compression.force:
                self._known[key] = await self._blobs(ref)  # a task each would cost more
            else:
                unmade[key] = ref
        await all_of(make(key, ref) for key, ref in unmade.items())

    async def _load(self, stored: StoredResult) -> ImmutableRef | None:
        try:
            result = await self._results.load(stored.id)
        except CrozeError:
            return None  # gone since the build looked
        self._stack.push_async_callback(result.release)
        return self._ref_of(result)

    async def _blobs(self, ref: ImmutableRef) -> tuple[str, ...]:
        layers = await ref.layers(self._compression, sessions=self._sessions, watch=self._watch)
        for layer in layers:
            self._layers.setdefault(
                layer.descriptor.digest,
                GatheredLayer(layer.descriptor.as_layer(), layer.diff_id, ref),
            )
        return tuple(layer.descriptor.digest for layer in layers)


def _to_make(chain: Chain, mode: Mode) -> set[int]:
    """The places of records whose layers are to be made."""
    if mode == "max":
        return {place for place, record in enumerate(chain.records) if record.result is not None}
    places: set[int] = set()
    stack = list(chain.top) if mode == "min" else []
    seen = set(stack)
    while stack:
        place = stack.pop()
        record = chain.records[place]
        if record.result is not None:
            places.add(place)
            continue
        below = {each.record for links in record.inputs for each in links} - seen
        seen |= below
        stack.extend(below)
    return places
