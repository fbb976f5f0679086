"""Cache keys as they are kept: results under keys, and links that lead from key to key.

Ids of keys are opaque here; `names` makes those that have a meaning.

    keys.add_link("sha256:base", KeyLink(0, 0, "sha256:run"), "sha256:top")
    keys.add_result("sha256:top", StoredResult("ref1", now))
    [target] = keys.targets("sha256:base", KeyLink(0, 0, "sha256:run"))
    assert [stored.id for stored in keys.results(target)] == ["ref1"]
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final, NamedTuple, Protocol

from msgspec import Struct

FEW: Final = 64
"""Keys that one key leads to by one link, which are listed. Where there are more, thousands of
steps may begin with that link, and each would list them all."""


class StoredResult(Struct, frozen=True):
    """A result as a key record remembers it."""

    id: str
    created_at: datetime


class KeyLink(NamedTuple):
    """One step from an input's key to an op's key: through input `input_index`, asking `selector`,
    to output `output_index` of an op whose cache map digest is `digest`."""

    input_index: int
    output_index: int
    digest: str
    selector: str = ""

    def to(self, output: int) -> KeyLink:
        """This link, but to output `output` of the op."""
        return self if self.output_index == output else self._replace(output_index=output)


class KeyLookup(Protocol):
    """The reading half of a `KeyStore`, which imported caches have too. All methods are quick
    (memory or one indexed read)."""

    def exists(self, key_id: str) -> bool:
        """Whether any link or result is stored under the key."""

    def targets(self, source_key: str, link: KeyLink) -> Sequence[str]:
        """The keys that `link` leads to from `source_key`; empty if there are none."""

    def few_targets(self, source_key: str, link: KeyLink) -> Sequence[str] | None:
        """The keys that `targets` gives, or None if they are more than `FEW`."""

    def leads(self, source_key: str, link: KeyLink, target_key: str) -> bool:
        """Whether `targets` gives it; as quick for one of a million."""

    def links_into(self, target_key: str) -> Sequence[tuple[str, KeyLink]]:
        """(source key, link) pairs by which `target_key` is reached. An imported cache only knows
        records: it says the record's digest in place of the cache map's, and output 0."""

    def results(self, key_id: str) -> Sequence[StoredResult]:
        """Newest first."""


class KeyStore(KeyLookup, Protocol):
    """The graph of cache keys, on disk. Ids are opaque strings; content keys and root keys have
    digest-derived ids, others are random. Writes may be batched but a `kill -9` loses at most the
    last moments, never consistency."""

    def add_link(self, source_key: str, link: KeyLink, target_key: str) -> None:
        """Let `link` lead from `source_key` to `target_key`. Adding it again changes nothing."""

    def add_result(self, key_id: str, result: StoredResult) -> None:
        """Store `result` under the key, in place of what it had under the same result id."""

    def result_ids(self) -> Sequence[str]:
        """All results that any key has."""

    def key_ids(self) -> Iterable[str]:
        """All keys; for people who look."""

    def links(self) -> Iterable[tuple[str, KeyLink, str]]:
        """All links, as (source key, link, target key); for people who look."""

    def release_result(self, result_id: str) -> None:
        """The result is gone: forget it, and keys that lead nowhere any more."""

    def flush(self) -> None:
        """Make all earlier writes durable. Blocks. Raises `CrozeError` when they can't be
        written."""
