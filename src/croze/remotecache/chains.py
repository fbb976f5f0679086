"""Cache records of one or many results, put together as one config.

Records that say the same (the digest is equal, and for every input there is one that leads to both)
become one, as two vertices or two platforms may have come to the same step.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from msgspec import Struct, field

from croze.gotypes.moments import rfc3339_of
from croze.remotecache import config as configs
from croze.remotecache.config import (
    NO_PARENT,
    CacheConfig,
    CacheInput,
    CacheLayer,
    ConfigRecord,
    LayerResult,
)


class ResultLayers(Struct, frozen=True):
    """The layers of one result. `blobs`: their digests, base first."""

    blobs: tuple[str, ...]
    created_at: datetime


class PendingRecord(Struct, eq=False):
    """A record on its way into the config, with what leads to it and what it leads to."""

    digest: str
    inputs: list[dict[tuple[PendingRecord, str], None]] = field(default_factory=list)
    result: ResultLayers | None = None
    children: dict[tuple[str, int, str], dict[PendingRecord, None]] = field(default_factory=dict)
    """What it leads to, by selector, input and digest."""


class Chains:
    """Puts the cache records of results together: add records, inputs first; then take the
    config."""

    def __init__(self) -> None:
        self._items: list[PendingRecord] = []
        self._roots: dict[str, PendingRecord] = {}

    def add(
        self,
        digest: str,
        inputs: Sequence[Sequence[tuple[PendingRecord, str]]],
        result: ResultLayers | None,
    ) -> PendingRecord:
        """Add a record. `inputs`: for each, the records that lead here and their selectors; never
        none."""
        item = self._find(digest, inputs)
        if item is None:
            item = PendingRecord(digest, [{} for _ in inputs])
            self._items.append(item)
            if not inputs:
                self._roots[digest] = item
        new_links = [
            (index, source, selector)
            for index, links in enumerate(inputs)
            for source, selector in links
            if (source, selector) not in item.inputs[index]
        ]
        below = _all_below(item) if new_links and item.children else {item}
        for index, source, selector in new_links:
            if source not in below:
                item.inputs[index][source, selector] = None
                source.children.setdefault((selector, index, digest), {})[item] = None
        if result is not None and (
            item.result is None or item.result.created_at < result.created_at
        ):
            item.result = result
        return item

    def _find(
        self, digest: str, inputs: Sequence[Sequence[tuple[PendingRecord, str]]]
    ) -> PendingRecord | None:
        if not inputs:
            return self._roots.get(digest)
        reached = [
            [source.children.get((selector, index, digest), {}) for source, selector in links]
            for index, links in enumerate(inputs)
        ]
        # Thousands may have one input in common, and nothing else.
        fewest = min(reached, key=lambda children: sum(map(len, children)))
        candidates = (item for children in fewest for item in children)
        return next((item for item in candidates if _is_reached(item, reached)), None)

    def config(self) -> CacheConfig:
        """The config of all that was added, in normal form. The newest result of each record is
        kept."""
        places = {item: place for place, item in enumerate(self._items)}
        layers = Layers()
        records = [
            ConfigRecord(
                layers=_results(layers, item.result),
                digest=item.digest,
                inputs=tuple(
                    tuple(CacheInput(selector=text, link=places[src]) for src, text in links)
                    for links in item.inputs
                ),
            )
            for item in self._items
        ]
        return configs.normalized(CacheConfig(tuple(layers.found), tuple(records)))


class Layers:
    """Layers by blob and parent, each once."""

    def __init__(self) -> None:
        self.found: list[CacheLayer] = []
        self._places: dict[CacheLayer, int] = {}

    def add(self, blobs: Iterable[str]) -> int:
        """The place of the topmost one."""
        place = NO_PARENT
        for blob in blobs:
            layer = CacheLayer(blob, place)
            if layer not in self._places:
                self._places[layer] = len(self.found)
                self.found.append(layer)
            place = self._places[layer]
        return place


def _results(layers: Layers, result: ResultLayers | None) -> tuple[LayerResult, ...]:
    if result is None or not result.blobs:
        return ()
    return (LayerResult(layers.add(result.blobs), rfc3339_of(result.created_at)),)


def _is_reached(
    item: PendingRecord, reached: Sequence[Sequence[dict[PendingRecord, None]]]
) -> bool:
    """Whether every input leads to it."""
    return all(any(item in children for children in by_source) for by_source in reached)


def _all_below(top: PendingRecord) -> set[PendingRecord]:
    """The item and all that it leads to."""
    below, stack = {top}, [top]
    while stack:
        for children in stack.pop().children.values():
            new = [child for child in children if child not in below]
            below.update(new)
            stack.extend(new)
    return below
