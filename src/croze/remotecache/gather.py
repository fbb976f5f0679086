"""From the solver's records to a cache config and the layers that it is about."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import Literal

from msgspec import Struct, field

from croze.cachekeys.contract import StoredResult
from croze.errors import CrozeError
from croze.image.descriptor import Descriptor
from croze.remotecache.chains import Chains, PendingRecord, ResultLayers
from croze.remotecache.config import CacheConfig
from croze.solver.chain import Chain
from croze.solver.contract import Result, ResultStore
from croze.store.contract import Compression, ImmutableRef

Mode = Literal["min", "max", "known"]
"""Which results get their layers made: those of the last steps, all, or none. Others are only
written if their layers are there anyway."""

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
    ) -> None:
        self._results = results
        self._ref_of = ref_of
        self._compression = compression
        self._sessions = sessions
        self._stack = stack
        self._chains = Chains()
        self._layers: dict[str, GatheredLayer] = {}
        self._known: dict[tuple[str, bool], tuple[str, ...]] = {}

    async def add(self, chain: Chain, mode: Mode) -> None:
        """Add all records of a chain."""
        layers = _to_make(chain, mode)
        items: list[PendingRecord] = []
        for place, record in enumerate(chain.records):
            result = None
            if record.result is not None:
                blobs = await self._blobs(record.result, make=place in layers)
                result = ResultLayers(blobs, record.result.created_at) if blobs else None
            inputs = [[(items[e.record], e.selector) for e in links] for links in record.inputs]
            items.append(self._chains.add(record.digest, inputs, result))

    def gathered(self) -> GatheredCache:
        """All that was added."""
        return GatheredCache(self._chains.config(), self._layers)

    async def _blobs(self, stored: StoredResult, *, make: bool) -> tuple[str, ...]:
        key = (stored.id, make)
        if key not in self._known:
            self._known[key] = await self._look(stored, make)
        return self._known[key]

    async def _look(self, stored: StoredResult, make: bool) -> tuple[str, ...]:
        try:
            result = await self._results.load(stored.id)
        except CrozeError:
            return ()  # gone since the build looked
        self._stack.push_async_callback(result.release)
        ref = self._ref_of(result)
        if ref is None or (not make and ref.known_layers() is None):
            return ()
        layers = await ref.layers(self._compression, sessions=self._sessions)
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
