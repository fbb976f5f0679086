"""An imported cache as the solver looks keys up in it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from msgspec import Struct

from croze.cachekeys.contract import FEW, KeyLink, StoredResult
from croze.cachekeys.names import IMPORTED, record_digest
from croze.remotecache.config import (
    CacheConfig,
    ChainResult,
    ConfigRecord,
    LayerResult,
    PresentLayers,
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
        there = PresentLayers(config, blobs)
        for place, record in enumerate(config.records):
            self._add_links(self._ids[place], record)
            self._add_results(config, f"{IMPORTED}{name}:{place}", self._ids[place], record, there)
        self._known = {key[0] for key in self._targets} | set(self._ids)

    def exists(self, key_id: str) -> bool:
        """See `KeyLookup`."""
        return key_id in self._known

    def targets(self, source_key: str, link: KeyLink) -> Sequence[str]:
        """See `KeyLookup`."""
        return tuple(self._led_to(source_key, link))

    def few_targets(self, source_key: str, link: KeyLink) -> Sequence[str] | None:
        """See `KeyLookup`."""
        targets = self._led_to(source_key, link)
        return tuple(targets) if len(targets) <= FEW else None

    def leads(self, source_key: str, link: KeyLink, target_key: str) -> bool:
        """See `KeyLookup`."""
        return target_key in self._led_to(source_key, link)

    def links_into(self, target_key: str) -> Sequence[tuple[str, KeyLink]]:
        """See `KeyLookup`."""
        return self._into.get(target_key, ())

    def results(self, key_id: str) -> Sequence[StoredResult]:
        """See `KeyLookup`. Newest first."""
        return self._results.get(key_id, ())

    def _led_to(self, source_key: str, link: KeyLink) -> Collection[str]:
        if source_key not in self._known:
            return ()
        digest = record_digest(link.digest, link.output_index)
        return self._targets.get((source_key, link.input_index, digest, link.selector), ())

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
        there: PresentLayers,
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


def _id(name: str, place: int, record: ConfigRecord) -> str:
    """Keys without inputs are the same in all caches."""
    return f"{IMPORTED}{name}:{place}" if record.inputs else record.digest
