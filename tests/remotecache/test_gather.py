"""From the records of a build to layers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import cast

from croze.cachekeys.contract import StoredResult
from croze.errors import NotFound
from croze.image.descriptor import OCI_LAYER_GZIP, Descriptor
from croze.remotecache.gather import GatheredCache, Gatherer, Mode
from croze.solver.chain import Chain, ChainLink, ChainRecord
from croze.solver.contract import Result, ResultStore
from croze.store.contract import Compression, ImmutableRef, LayerBlob
from tests.solver.arithmetic import sha

COUNT = 6
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Refs:
    """Refs of one layer each, and how many of them were asked for it at once."""

    def __init__(self) -> None:
        self.known: set[str] = set()
        self.lost: set[str] = set()
        self.made: list[str] = []
        self.at_once = self.most_at_once = 0
        self.held = 0

    async def load(self, id: str) -> Result:
        if id in self.lost:
            raise NotFound(id)
        self.held += 1
        return cast(Result, Ref(self, id))


class Ref:
    """An `ImmutableRef`, and the result that has it."""

    def __init__(self, refs: Refs, id: str) -> None:
        self._refs = refs
        self._id = id

    async def release(self) -> None:
        self._refs.held -= 1

    def known_layers(self) -> Sequence[LayerBlob] | None:
        return self._layers() if self._id in self._refs.known else None

    async def layers(self, compression: Compression, **_: object) -> Sequence[LayerBlob]:
        if self._id in self._refs.known:
            return self._layers()
        self._refs.made.append(self._id)
        self._refs.at_once += 1
        self._refs.most_at_once = max(self._refs.most_at_once, self._refs.at_once)
        for _turn in range(10):
            await asyncio.sleep(0)
        self._refs.at_once -= 1
        return self._layers()

    def _layers(self) -> Sequence[LayerBlob]:
        return [LayerBlob(Descriptor(OCI_LAYER_GZIP, sha(self._id), 1), sha(f"diff {self._id}"))]


def row() -> Chain:
    """Steps one after the other."""
    records = [
        ChainRecord(
            sha(f"step {n}"),
            ((ChainLink(n - 1, ""),),) if n else (),
            StoredResult(str(n), NOW),
        )
        for n in range(COUNT)
    ]
    return Chain(tuple(records), (COUNT - 1,))


async def gathered(refs: Refs, mode: Mode) -> GatheredCache:
    async with AsyncExitStack() as stack:
        gatherer = Gatherer(
            cast(ResultStore, refs), lambda r: cast(ImmutableRef, r), Compression(), (), stack
        )
        await gatherer.add(row(), mode)
        await gatherer.add(row(), mode)
        return gatherer.gathered()


async def test_layers_are_made_side_by_side() -> None:
    cache = await gathered(refs := Refs(), "max")
    assert sorted(refs.made) == [str(n) for n in range(COUNT)], "each once"
    assert 1 < refs.most_at_once < COUNT
    assert set(cache.layers) == {sha(str(n)) for n in range(COUNT)}
    assert not refs.held


async def test_of_the_least_only_the_last_step_is_made() -> None:
    refs = Refs()
    refs.known = {"0", "1"}
    cache = await gathered(refs, "min")
    assert refs.made == [str(COUNT - 1)]
    assert set(cache.layers) == {sha("0"), sha("1"), sha(str(COUNT - 1))}


async def test_of_what_is_known_nothing_is_made() -> None:
    refs = Refs()
    refs.known = {"2"}
    cache = await gathered(refs, "known")
    assert (refs.made, set(cache.layers)) == ([], {sha("2")})


async def test_results_that_are_gone_are_left_out() -> None:
    refs = Refs()
    refs.lost = {"3"}
    cache = await gathered(refs, "max")
    assert set(cache.layers) == {sha(str(n)) for n in range(COUNT) if n != 3}
