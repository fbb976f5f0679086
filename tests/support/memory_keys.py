"""A `KeyStore` in memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from croze.cachekeys.contract import FEW, KeyLink, StoredResult


class MemoryKeys:
    """See `contract.KeyStore`."""

    def __init__(self, few: int = FEW) -> None:
        self._few = few
        self._links: dict[str, dict[KeyLink, dict[str, None]]] = {}
        self._into: dict[str, dict[tuple[str, KeyLink], None]] = {}
        self._results: dict[str, dict[str, StoredResult]] = {}
        self._keys_of: dict[str, dict[str, None]] = {}

    def exists(self, key_id: str) -> bool:
        return key_id in self._results or key_id in self._links or key_id in self._into

    def add_link(self, source_key: str, link: KeyLink, target_key: str) -> None:
        self._links.setdefault(source_key, {}).setdefault(link, {})[target_key] = None
        self._into.setdefault(target_key, {})[source_key, link] = None

    def targets(self, source_key: str, link: KeyLink) -> Sequence[str]:
        return tuple(self._links.get(source_key, {}).get(link, ()))

    def few_targets(self, source_key: str, link: KeyLink) -> Sequence[str] | None:
        targets = self._links.get(source_key, {}).get(link, {})
        return tuple(targets) if len(targets) <= self._few else None

    def leads(self, source_key: str, link: KeyLink, target_key: str) -> bool:
        return target_key in self._links.get(source_key, {}).get(link, {})

    def links_into(self, target_key: str) -> Sequence[tuple[str, KeyLink]]:
        return tuple(self._into.get(target_key, ()))

    def key_ids(self) -> Iterable[str]:
        return dict.fromkeys((*self._results, *self._links, *self._into))

    def links(self) -> Iterable[tuple[str, KeyLink, str]]:
        for source, by_link in self._links.items():
            for link, targets in by_link.items():
                for target in targets:
                    yield source, link, target

    def add_result(self, key_id: str, result: StoredResult) -> None:
        self._results.setdefault(key_id, {})[result.id] = result
        self._keys_of.setdefault(result.id, {})[key_id] = None

    def results(self, key_id: str) -> Sequence[StoredResult]:
        results = self._results.get(key_id, {}).values()
        return sorted(results, key=lambda r: (r.created_at, r.id), reverse=True)

    def result_ids(self) -> Sequence[str]:
        return tuple(self._keys_of)

    def release_result(self, result_id: str) -> None:
        stack = []
        for key in self._keys_of.pop(result_id, {}):
            held = self._results[key]
            del held[result_id]
            if not held:
                del self._results[key]
            stack.append(key)
        while stack:
            stack.extend(self._remove_if_dead(stack.pop()))

    def _remove_if_dead(self, key: str) -> list[str]:
        """Drop a key without results that leads nowhere; returns the keys that led to it."""
        if key in self._results or key in self._links:
            return []
        sources = []
        for source, link in self._into.pop(key, {}):
            targets = self._links[source][link]
            targets.pop(key, None)
            if not targets:
                del self._links[source][link]
            if not self._links[source]:
                del self._links[source]
            sources.append(source)
        return sources

    def flush(self) -> None:
        pass

    def __len__(self) -> int:
        return len(self._results.keys() | self._links.keys() | self._into.keys())
