"""An imported cache as the solver looks keys up in it."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from croze.cachekeys.contract import KeyLink, StoredResult
from croze.cachekeys.names import IMPORTED, record_digest
from croze.remotecache.config import CacheConfig, ConfigRecord, time_of


class ImportedResult(Struct, frozen=True):
    """A result in an imported cache. `layers`: indexes into the config's layers, base first."""

    stored: StoredResult
    layers: tuple[int, ...]


class ImportedKeys:
    """`solver.caches.KeyLookup` over a config. Results whose blobs are not among `blobs` are not
    there. `name` tells the ids of this cache from those of others."""

    def __init__(self, config: CacheConfig, blobs: frozenset[str], name: str) -> None:
        self._ids = [_id(name, place, record) for place, record in enumerate(config.records)]
        self._targets: dict[tuple[str, int, str, str], dict[str, None]] = {}
        self._into: dict[str, list[tuple[str, KeyLink]]] = {}
        self._results: dict[str, list[StoredResult]] = {}
        self.found: dict[str, ImportedResult] = {}
        for place, record in enumerate(config.records):
            self._add_links(self._ids[place], record)
            self._add_results(config, f"{IMPORTED}{name}:{place}", self._ids[place], record, blobs)
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
        blobs: frozenset[str],
    ) -> None:
        chains = [(config.chain(r.layer), r.created_at) for r in record.layers]
        chains += [(r.layers or (), r.created_at) for r in record.chains]
        for number, (layers, created) in enumerate(chains):
            if not layers or any(config.layers[i].blob not in blobs for i in layers):
                continue
            stored = StoredResult(f"{name}:{number}", time_of(created))
            self.found[stored.id] = ImportedResult(stored, layers)
            self._results.setdefault(key, []).append(stored)
        if key in self._results:
            self._results[key].sort(key=lambda r: (r.created_at, r.id), reverse=True)


def _id(name: str, place: int, record: ConfigRecord) -> str:
    """Keys without inputs are the same in all caches."""
    return f"{IMPORTED}{name}:{place}" if record.inputs else record.digest
