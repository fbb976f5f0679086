"""Where a vertex looks for results: the daemon's own cache first, then what its builds import.

Keys of an imported cache have ids of their own (`names.IMPORTED`), but for those that are made of
a digest alone: these are the same everywhere, so that one walk finds what both caches have. What is
loaded from an import becomes the daemon's own by `importing`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from msgspec import Struct

from croze.cachekeys.contract import KeyLink, KeyLookup, StoredResult
from croze.solver.contract import Result


class ResultLoader(Protocol):
    """The reading half of `ResultStore`."""

    def exists(self, id: str) -> bool:
        """See `ResultStore.exists`."""

    async def load(self, id: str) -> Result:
        """See `ResultStore.load`."""


class CacheSource(Struct, frozen=True, eq=False):
    """One cache: its keys, and its results by the ids that the keys name."""

    keys: KeyLookup
    results: ResultLoader


class ResultRecord(Struct, frozen=True):
    """A result that a cache claims to have under `key`."""

    stored: StoredResult
    key: str
    source: CacheSource
    own: bool
    """It is of the daemon's cache, not of an imported one."""


def best_record(records: Iterable[ResultRecord]) -> ResultRecord:
    """The newest, the daemon's own before imported ones."""
    return max(records, key=lambda each: (each.own, each.stored.created_at, each.stored.id))


class Caches:
    """Several sources as one. The first is the daemon's own."""

    __slots__ = ("_keys", "sources")

    def __init__(self, sources: Sequence[CacheSource]) -> None:
        self.sources = tuple(sources)
        self._keys = tuple(source.keys for source in sources)

    def also(self, more: Iterable[CacheSource]) -> Caches:
        """These caches and those of `more` that are new; itself if there are none."""
        new = [source for source in more if source not in self.sources]
        return Caches((*self.sources, *new)) if new else self

    def exists(self, key: str) -> bool:
        """Whether any of the caches knows the key."""
        return any(keys.exists(key) for keys in self._keys)

    def targets(self, source_key: str, link: KeyLink) -> Sequence[str]:
        """The keys that the link leads to in any of the caches, each once."""
        if len(self._keys) == 1:
            return self._keys[0].targets(source_key, link)
        targets = (t for keys in self._keys for t in keys.targets(source_key, link))
        return tuple(dict.fromkeys(targets))

    def few_targets(self, source_key: str, link: KeyLink) -> Sequence[str] | None:
        """See `KeyStore.few_targets`; None as soon as one of the caches has too many."""
        if len(self._keys) == 1:
            return self._keys[0].few_targets(source_key, link)
        targets: dict[str, None] = {}
        for keys in self._keys:
            few = keys.few_targets(source_key, link)
            if few is None:
                return None
            targets.update(dict.fromkeys(few))
        return tuple(targets)

    def leads(self, source_key: str, link: KeyLink, target_key: str) -> bool:
        """Whether the link leads from one key to the other in any of the caches."""
        return any(keys.leads(source_key, link, target_key) for keys in self._keys)

    def results(self, key: str) -> Iterator[ResultRecord]:
        """What the caches claim to have, whether it is there or not."""
        for number, source in enumerate(self.sources):
            for stored in source.keys.results(key):
                yield ResultRecord(stored, key, source, own=number == 0)
