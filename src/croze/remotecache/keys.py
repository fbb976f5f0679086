"""An imported cache as the solver looks keys up in it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from msgspec import Struct

from croze.cachekeys.contract import KeyLink, StoredResult
from croze.cachekeys.names import IMPORTED, record_digest
from croze.remotecache.config import (
    NO_PARENT,
    CacheConfig,
    ChainResult,
    ConfigRecord,
    LayerResult,
    time_of,
)


class ImportedResult(Struct, frozen=True):
    """A result that a config says there is."""

    config: CacheConfig
    claim: LayerResult | ChainResult

    @property
    def layers(self) -> tuple[int, ...]:
        """Indexes into the config's layers, base first. Put together when somebody asks: those of
        all results may be many more than the config has."""
        if isinstance(self.claim, LayerResult):
            return self.config.chain(self.claim.layer)
        return self.claim.layers or ()


class ImportedKeys:
    """`solver.caches.KeyLookup` over a config. Results whose blobs are not among `blobs` are not
    there. `name` tells the ids of this cache from those of others."""

    def __init__(self, config: CacheConfig, blobs: frozenset[str], name: str) -> None:
        self._ids = [_id(name, place, record) for place, record in enumerate(config.records)]
        self._targets: dict[tuple[str, int, str, str], dict[str, None]] = {}
        self._into: dict[str, list[tuple[str, KeyLink]]] = {}
        self._results: dict[str, list[StoredResult]] = {}
        self.found: dict[str, ImportedResult] = {}
        there = _There(config, blobs)
        for place, record in enumerate(config.records):
            self._add_links(self._ids[place], record)
            self._add_results(config, f"{IMPORTED}{name}:{place}", self._ids[place], record, there)
        self._known = {key[0] for key in self._targets} | set(self._ids)

    def exists(self, key_id: str) -> bool:
        """See `KeyLookup`."""
        return key_id in self._known

    def targets(self, source_key: str, link: KeyLink) -> Sequence[str]:
        """See `KeyLookup`."""
        if source_key not in self._known:
            return ()
        digest = record_digest(link.digest, link.output_index)
        return tuple(self._targets.get((source_key, link.input_index, digest, link.selector), ()))

    def links_into(self, target_key: str) -> Sequence[tuple[str, KeyLink]]:
        """See `KeyLookup`."""
        return self._into.get(target_key, ())

    def results(self, key_id: str) -> Sequence[StoredResult]:
        """See `KeyLookup`. Newest first."""
        return self._results.get(key_id, ())

    def _add_links(self, target: str, record: ConfigRecord) -> None:
        for index, links in enumerate(record.inputs):
            for each in links:
                step = (self._ids[each.link], index, record.digest, each.selector)
                self._targets.setdefault(step, {})[target] = None
                link = KeyLink(index, 0, record.digest, each.selector)
                self._into.setdefault(target, []).append((self._ids[each.link], link))

    def _add_results(
        self,
        config: CacheConfig,
        name: str,
        key: str,
        record: ConfigRecord,
        there: _There,
    ) -> None:
        claims: list[LayerResult | ChainResult] = [*record.layers, *record.chains]
        for number, claim in enumerate(claims):
            if not there.has(claim):
                continue
            stored = StoredResult(f"{name}:{number}", time_of(claim.created_at))
            self.found[stored.id] = ImportedResult(config, claim)
            self._results.setdefault(key, []).append(stored)
        if key in self._results:
            self._results[key].sort(key=lambda r: (r.created_at, r.id), reverse=True)


class _There:
    """Which results have all their blobs among `blobs`."""

    def __init__(self, config: CacheConfig, blobs: Collection[str]) -> None:
        self._alone = {i for i, layer in enumerate(config.layers) if layer.blob in blobs}
        self._whole: set[int] = set()
        """Layers whose parents are there, too."""
        above: dict[int, list[int]] = {}
        for place in self._alone:
            above.setdefault(config.layers[place].parent, []).append(place)
        stack = above.get(NO_PARENT, [])
        while stack:
            place = stack.pop()
            self._whole.add(place)
            stack += above.get(place, ())

    def has(self, claim: LayerResult | ChainResult) -> bool:
        if isinstance(claim, LayerResult):
            return claim.layer in self._whole
        return bool(claim.layers) and self._alone.issuperset(claim.layers or ())


def _id(name: str, place: int, record: ConfigRecord) -> str:
    """Keys without inputs are the same in all caches."""
    return f"{IMPORTED}{name}:{place}" if record.inputs else record.digest
