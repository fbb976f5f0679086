"""What another daemon has, as a cache to import: as `remotecache` does, with numbers."""

from __future__ import annotations

from collections.abc import Sequence

from croze.cachekeys.contract import KeyLink, StoredResult
from croze.cachekeys.names import IMPORTED, record_digest
from croze.errors import NotFound
from croze.solver.caches import CacheSource
from croze.solver.contract import Result
from tests.solver.arithmetic import Results, World


def imported(there: World, here: World, name: str = "there") -> CacheSource:
    """All that is in the cache of `there`, for builds in `here`."""
    return CacheSource(_Keys(there, f"{IMPORTED}{name}:"), _Loader(there.results, here.results))


class _Keys:
    """Ids that don't follow from a digest are the import's own."""

    def __init__(self, there: World, prefix: str) -> None:
        self._keys = there.keys
        self._prefix = prefix

    def exists(self, key_id: str) -> bool:
        return self._keys.exists(self._there(key_id))

    def targets(self, source_key: str, link: KeyLink) -> Sequence[str]:
        return [self._here(key) for key in self._keys.targets(self._there(source_key), link)]

    def few_targets(self, source_key: str, link: KeyLink) -> Sequence[str] | None:
        few = self._keys.few_targets(self._there(source_key), link)
        return None if few is None else [self._here(key) for key in few]

    def leads(self, source_key: str, link: KeyLink, target_key: str) -> bool:
        return self._keys.leads(self._there(source_key), link, self._there(target_key))

    def links_into(self, target_key: str) -> Sequence[tuple[str, KeyLink]]:
        return [
            (
                self._here(source),
                KeyLink(
                    link.input_index,
                    0,
                    record_digest(link.digest, link.output_index),
                    link.selector,
                ),
            )
            for source, link in self._keys.links_into(self._there(target_key))
        ]

    def results(self, key_id: str) -> Sequence[StoredResult]:
        return self._keys.results(self._there(key_id))

    def _here(self, key: str) -> str:
        return key if key.startswith("sha256:") else self._prefix + key

    def _there(self, key: str) -> str:
        return key.removeprefix(self._prefix)


class _Loader:
    def __init__(self, there: Results, here: Results) -> None:
        self._there = there
        self._here = here

    def exists(self, id: str) -> bool:
        return self._there.exists(id)

    async def load(self, id: str) -> Result:
        if id not in self._there.values:
            raise NotFound(f"{id}: not found")
        result = self._here.make(self._there.values[id])
        self._here.values[result.id] = result.value
        return result
