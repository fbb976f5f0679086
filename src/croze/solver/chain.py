"""What an exporter of caches writes: the cache records of an edge and of all below it.

A record stands for one output of a vertex under one of its cache maps, or for the content of an
input. It is told by its digest and by what leads to it (see `cachekeys.names.record_digest`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct

from croze.cachekeys.contract import StoredResult
from croze.cachekeys.names import RANDOM, content_key, record_digest
from croze.solver.contract import Edge
from croze.solver.inputs import own_keys
from croze.solver.matching import keying_of
from croze.solver.views import EdgeView, GraphView


class ChainLink(Struct, frozen=True):
    """A way to a record. `record`: the place of the one that leads here."""

    record: int
    selector: str


class ChainRecord(Struct, frozen=True):
    """A cache record. `inputs`: for every input what it may be, never nothing. `result`: what is
    there to export, unless the vertex says that it should not be."""

    digest: str
    inputs: tuple[tuple[ChainLink, ...], ...] = ()
    result: StoredResult | None = None


class Chain(Struct, frozen=True):
    """Records, inputs first. `top`: those of the edge itself; none if it can't be exported,
    because it rests on something that never leaves this daemon."""

    records: tuple[ChainRecord, ...]
    top: tuple[int, ...]


def chain_of(graph: GraphView, edge: Edge) -> Chain:
    """The records below `edge`, whose vertices some job must want."""
    walk = _Walk(graph)
    top = graph.edge(edge)
    for below in _inputs_first(graph, top):
        walk.add(below)
    return Chain(tuple(walk.records), walk.places[top])


def stored_below(graph: GraphView, edge: Edge) -> Iterator[tuple[Edge, StoredResult]]:
    """The newest result that is kept of `edge` and of each below it, inputs first."""
    for below in _inputs_first(graph, graph.edge(edge)):
        if below.vertex.vertex.export_cache is not False:
            stored = _newest(graph, below)
            if stored is not None:
                yield below.edge, stored


def _newest(graph: GraphView, edge: EdgeView) -> StoredResult | None:
    keys, results = graph.keys, graph.results
    stored = [r for key in own_keys(edge.state) for r in keys.results(key) if results.exists(r.id)]
    return max(stored, key=lambda r: (r.created_at, r.id), default=None)


class _Walk:
    def __init__(self, graph: GraphView) -> None:
        self._graph = graph
        self.records: list[ChainRecord] = []
        self.places: dict[EdgeView, tuple[int, ...]] = {}
        self._places_of_roots: dict[str, int] = {}

    def add(self, edge: EdgeView) -> None:
        inputs = self._inputs(edge)
        if any(not links for links in inputs):
            self.places[edge] = ()
            return
        result = self._result(edge)
        digests = [
            record_digest(m.digest, edge.state.index)
            for m in edge.state.op.maps
            if not m.digest.startswith(RANDOM)
        ]
        if inputs:
            records = (ChainRecord(digest, inputs, result) for digest in digests)
            self.places[edge] = tuple(self._put(record) for record in records)
        else:
            self.places[edge] = tuple(self._root(digest) for digest in digests)

    def _put(self, record: ChainRecord) -> int:
        self.records.append(record)
        return len(self.records) - 1

    def _inputs(self, edge: EdgeView) -> tuple[tuple[ChainLink, ...], ...]:
        vertex, maps = edge.vertex.vertex, edge.state.op.maps
        if not maps:
            return ((),) if vertex.inputs else ()
        alternatives = []
        for index, item in enumerate(vertex.inputs):
            selector = keying_of(maps, index).selector
            places = self.places[self._graph.edge(item)]
            links = [ChainLink(place, selector) for place in places]
            links += [ChainLink(self._root(key), selector) for key in self._roots(edge, index)]
            links += [ChainLink(self._root(key), "") for key in self._contents(edge, index)]
            alternatives.append(tuple(links))
        return tuple(alternatives)

    def _root(self, key: str) -> int:
        """The record of a key that nothing leads to, whose id is the record's digest."""
        if key not in self._places_of_roots:
            self._places_of_roots[key] = self._put(ChainRecord(key))
        return self._places_of_roots[key]

    def _roots(self, edge: EdgeView, index: int) -> Iterator[str]:
        """Other keys of a source that the key store remembers: of an image that was found by its
        manifest the one of its layers."""
        item = edge.vertex.vertex.inputs[index]
        if item.vertex.inputs:
            return
        places = self.places[self._graph.edge(item)]
        for key in self._links(edge, index, keying_of(edge.state.op.maps, index).selector):
            if not key.startswith(RANDOM) and self._root(key) not in places:
                yield key

    def _contents(self, edge: EdgeView, index: int) -> Sequence[str]:
        """The content of an input, as this build found it, or as the key store remembers it."""
        content = edge.state.op.contents.get(index)
        if content:
            return (content_key(content),)
        # With a selector, what leads here without one is content.
        return self._links(edge, index, "") if keying_of(edge.state.op.maps, index).selector else ()

    def _links(self, edge: EdgeView, index: int, selector: str) -> Sequence[str]:
        """The keys from which the key store leads to `edge`."""
        linked = (
            source
            for key in own_keys(edge.state)
            for source, link in self._graph.keys.links_into(key)
            if link.input_index == index and link.selector == selector
        )
        return tuple(dict.fromkeys(linked))

    def _result(self, edge: EdgeView) -> StoredResult | None:
        vertex = edge.vertex.vertex
        if vertex.export_cache is False or not vertex.inputs:
            return None
        return _newest(self._graph, edge)


def _inputs_first(graph: GraphView, top: EdgeView) -> Iterator[EdgeView]:
    entered: set[EdgeView] = set()
    stack = [(top, False)]
    while stack:
        edge, is_expanded = stack.pop()
        if is_expanded:
            yield edge
        elif edge not in entered:
            entered.add(edge)
            stack.append((edge, True))
            below = (graph.edge(item) for item in reversed(edge.vertex.vertex.inputs))
            stack.extend((item, False) for item in below)
