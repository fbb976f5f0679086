"""A dry run: which vertices would the cache have, and which would run.

Walks the vertices below an edge, inputs first, with the same keys that a build uses: definition
keys, then content keys where definitions find nothing. It writes no key and runs no op, but for
sources that may be brought in so that their content can be told (a client's directory).
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, Protocol

import msgspec
from msgspec import Struct

from croze.cachekeys.names import content_key
from croze.errors import CrozeError, NotFound, VertexDetail
from croze.solver.caches import Caches, ResultRecord, best_record
from croze.solver.contract import (
    CacheMap,
    Edge,
    Op,
    OpContext,
    OpResolver,
    Result,
    Vertex,
    cache_map_of,
)
from croze.solver.levels import ALL_KEYS, DEFINITION_KEYS, InputFlags, Level, tally_of
from croze.solver.matching import (
    Way,
    common_targets,
    flags_of,
    is_hopeless,
    keying_of,
    links_of,
    look_up,
    root_keys,
)
from croze.solver.observe import InputFacts, Outcome, VertexFacts
from croze.solver.request import SolvedResult

_TURN_EVERY: Final = 200
"""Vertices between which the event loop gets a turn."""


class ProbeWorld(Protocol):
    """What a dry run may do."""

    def may_run(self, vertex: Vertex) -> bool:
        """Whether this source may be brought in to look at its content."""

    def at_hand(self, result: Result) -> bool:
        """Whether looking at the content of `result` needs nothing to be fetched."""


class ExpectedVertex(Struct, frozen=True):
    """What is expected of one vertex. `because`: inputs that will run, or may. `needed` is False
    where what stands on it is in the cache, so that nobody will ask for it."""

    facts: VertexFacts
    because: tuple[Vertex, ...] = ()
    needed: bool = False

    @property
    def outcome(self) -> Outcome:
        return self.facts.outcome


@dataclasses.dataclass(frozen=True)
class Forecast:
    """All vertices, inputs first."""

    expected: tuple[ExpectedVertex, ...]
    _held: tuple[Result, ...] = dataclasses.field(default=(), repr=False)

    async def release(self) -> None:
        """Give up the cached results that were loaded to be looked into."""
        for result in self._held:
            await result.release()


class _ProbedVertex(Struct):
    """What the walk knows of a vertex. `keys` and `results` by output."""

    vertex: Vertex
    op: Op | None = None
    maps: tuple[CacheMap, ...] = ()
    outcome: Outcome = Outcome.UNKNOWN
    keys: dict[int, list[str]] = msgspec.field(default_factory=dict)
    records: dict[int, ResultRecord] = msgspec.field(default_factory=dict)
    contents: dict[int, str] = msgspec.field(default_factory=dict)
    inputs: dict[int, Result] = msgspec.field(default_factory=dict)
    because: tuple[Vertex, ...] = ()

    @property
    def level(self) -> Level:
        """What is known of its edges: as of an active one's."""
        return DEFINITION_KEYS if self.outcome is Outcome.UNKNOWN else ALL_KEYS


class Prober:
    """One dry run. `build` brings an edge in, for sources that may run."""

    def __init__(
        self,
        caches: Caches,
        resolve_op: OpResolver,
        context: Callable[[Vertex], OpContext],
        build: Callable[[Edge], Awaitable[SolvedResult]],
        world: ProbeWorld,
    ) -> None:
        self._caches = caches
        self._resolve_op = resolve_op
        self._context = context
        self._build = build
        self._world = world
        self._seen: dict[str, _ProbedVertex] = {}
        self._wanted_outputs: dict[str, set[int]] = {}
        self._held: dict[tuple[str, int], Result | None] = {}

    async def probe(self, edge: Edge) -> Forecast:
        """See `solver.solver.Job.probe`."""
        order = _inputs_first(edge.vertex)
        self._wanted_outputs.setdefault(edge.vertex.digest, set()).add(edge.index)
        for vertex in order:
            for item in vertex.inputs:
                self._wanted_outputs.setdefault(item.vertex.digest, set()).add(item.index)
        try:
            for number, vertex in enumerate(order, 1):
                self._seen[vertex.digest] = await self._look(vertex)
                if number % _TURN_EVERY == 0:
                    await asyncio.sleep(0)
        except BaseException:
            await self._forecast(order, set()).release()
            raise
        return self._forecast(order, self._needed(edge.vertex))

    # One vertex

    async def _look(self, vertex: Vertex) -> _ProbedVertex:
        op, ctx, maps = self._resolve_op(vertex), self._context(vertex), list[CacheMap]()
        seen = _ProbedVertex(vertex, op)
        while not maps or not maps[-1].done:
            with _blaming(vertex, "failed to load cache key"):
                maps.append(await cache_map_of(op, ctx, len(maps)))
            seen.maps = tuple(maps)
            if not vertex.inputs:
                self._find_source(seen)
                if seen.records:
                    break
        if vertex.inputs:
            await self._find(seen, ctx)
        elif not seen.records:
            seen.outcome = Outcome.RAN
        return seen

    def _find_source(self, seen: _ProbedVertex) -> None:
        """A source's keys follow from its cache maps; nobody finds anything by those of one that
        ignores the cache."""
        if not seen.vertex.ignore_cache:
            for output in self._outputs(seen.vertex):
                seen.keys[output] = root_keys(seen.maps, output)
            self._take_results(seen)

    async def _find(self, seen: _ProbedVertex, ctx: OpContext) -> None:
        if seen.vertex.ignore_cache:
            seen.outcome = Outcome.RAN
            return
        self._match(seen)
        if seen.records:
            return
        for index in range(len(seen.vertex.inputs)):
            await self._learn_content(seen, index, ctx)
        self._match(seen)

    def _outputs(self, vertex: Vertex) -> Sequence[int]:
        return sorted(self._wanted_outputs[vertex.digest])

    def _match(self, seen: _ProbedVertex) -> None:
        """Look for keys that all inputs lead to, and results under them; say what it means if
        there are none."""
        count, rows = len(seen.vertex.inputs), list[list[InputFlags]]()
        for output in self._outputs(seen.vertex):
            row = [self._ways(seen, index, output) for index in range(count)]
            seen.keys[output] = sorted(common_targets(self._caches, row))
            matched = [any(look_up(self._caches, ways)) for ways in row]
            rows.append([self._flags(seen, i, matched=each) for i, each in enumerate(matched)])
        self._take_results(seen)
        if seen.records:
            return
        hopeless = any(is_hopeless(tally_of(row), count) for row in rows)
        seen.outcome = Outcome.RAN if hopeless else Outcome.UNKNOWN
        dead = [i for i in range(count) if any(row[i].dead for row in rows)]
        hanging = [i for i in range(count) if any(not row[i].closed for row in rows)]
        seen.because = self._culprits(seen, dead or hanging)

    def _culprits(self, seen: _ProbedVertex, indexes: Sequence[int]) -> tuple[Vertex, ...]:
        """The inputs that are not what the cache knows."""
        vertices = (seen.vertex.inputs[i].vertex for i in indexes if i not in seen.contents)
        return tuple(dict.fromkeys(v for v in vertices if self._may_change(seen, v)))

    def _may_change(self, seen: _ProbedVertex, vertex: Vertex) -> bool:
        hanging = seen.outcome is Outcome.UNKNOWN
        return hanging or self._outcome(vertex) is not Outcome.CACHED

    def _outcome(self, vertex: Vertex) -> Outcome:
        return self._seen[vertex.digest].outcome

    def _ways(self, seen: _ProbedVertex, index: int, output: int) -> list[Way]:
        """What leads from input `index`."""
        edge = seen.vertex.inputs[index]
        keys = self._seen[edge.vertex.digest].keys.get(edge.index, ())
        ways = [(key, link) for link in links_of(seen.maps, index, output) for key in keys]
        content = seen.contents.get(index)
        if content:
            plain = links_of(seen.maps, index, output, selector="")
            ways += [(content_key(content), link) for link in plain]
        return ways

    def _flags(self, seen: _ProbedVertex, index: int, *, matched: bool) -> InputFlags:
        keying = keying_of(seen.maps, index)
        level = self._seen[seen.vertex.inputs[index].vertex.digest].level
        content_known = index in seen.contents
        return flags_of(keying, level, matched=matched, content_known=content_known)

    def _take_results(self, seen: _ProbedVertex) -> None:
        for output, keys in seen.keys.items():
            claimed = (record for key in keys for record in self._caches.results(key))
            there = [each for each in claimed if each.source.results.exists(each.stored.id)]
            if there:
                seen.records[output] = best_record(there)
        if seen.records:
            seen.outcome = Outcome.CACHED

    # Content

    async def _learn_content(self, seen: _ProbedVertex, index: int, ctx: OpContext) -> None:
        keying, edge = keying_of(seen.maps, index), seen.vertex.inputs[index]
        if keying.content is None:
            return
        result = await self._result(edge)
        if result is None:
            return
        seen.inputs[index] = result
        with _blaming(seen.vertex, "failed to compute cache key"):
            if keying.prepare is not None:
                await keying.prepare(result, ctx)
            seen.contents[index] = await keying.content(result, ctx)

    async def _result(self, edge: Edge) -> Result | None:
        """The result of an input, if it is there or may be brought."""
        place = (edge.vertex.digest, edge.index)
        if place not in self._held:
            self._held[place] = await self._bring(edge)
        return self._held[place]

    async def _bring(self, edge: Edge) -> Result | None:
        seen = self._seen[edge.vertex.digest]
        if not edge.vertex.inputs and self._world.may_run(edge.vertex):
            return (await self._build(edge)).result
        at_hand = seen.records.get(edge.index)
        if at_hand is None:
            return None
        try:
            result = await at_hand.source.results.load(at_hand.stored.id)
        except NotFound:
            return None
        if self._world.at_hand(result):
            return result
        await result.release()
        return None

    # The whole

    def _needed(self, target: Vertex) -> set[str]:
        """What a build would have to look at: below something cached, nothing."""
        needed: set[str] = set()
        stack = [target]
        while stack:
            vertex = stack.pop()
            if vertex.digest in needed:
                continue
            needed.add(vertex.digest)
            if self._outcome(vertex) is not Outcome.CACHED:
                stack.extend(edge.vertex for edge in vertex.inputs)
        return needed

    def _forecast(self, order: Sequence[Vertex], needed: set[str]) -> Forecast:
        expected = tuple(
            ExpectedVertex(_facts(seen), seen.because, vertex.digest in needed)
            for vertex in order
            if (seen := self._seen.get(vertex.digest)) is not None
        )
        held = tuple(result for result in self._held.values() if result is not None)
        return Forecast(expected, held)


@contextmanager
def _blaming(vertex: Vertex, what: str) -> Iterator[None]:
    """Errors say which vertex they are of, as in a build."""
    try:
        yield
    except CrozeError as error:
        detail = VertexDetail(vertex.llb_digest or vertex.digest)
        raise error.wrap(what).with_detail(detail) from error.__cause__


def _facts(seen: _ProbedVertex) -> VertexFacts:
    inputs = tuple(
        InputFacts(edge, keying_of(seen.maps, i), seen.contents.get(i, ""), seen.inputs.get(i))
        for i, edge in enumerate(seen.vertex.inputs)
    )
    return VertexFacts(seen.vertex, seen.maps, inputs, seen.outcome, seen.op)


def _inputs_first(vertex: Vertex) -> list[Vertex]:
    order: list[Vertex] = []
    entered: set[str] = set()
    stack: list[tuple[Vertex, bool]] = [(vertex, False)]
    while stack:
        current, is_expanded = stack.pop()
        if is_expanded:
            order.append(current)
        elif current.digest not in entered:
            entered.add(current.digest)
            stack.append((current, True))
            stack.extend((edge.vertex, False) for edge in reversed(current.inputs))
    return order
