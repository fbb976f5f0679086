"""Which records go: a pure choice over plain values, as BuildKit makes it (cache/manager.go)."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct

from croze.store.contract import PrunePolicy, UsageRecord
from croze.store.filters import Fields, parse

GB = 1_000_000_000
_KEPT_TYPES = ("internal", "frontend")


class DiskStat(Struct, frozen=True):
    """A filesystem, in bytes."""

    total: int
    free: int


class PruneCandidate(Struct, frozen=True):
    """A record as the choice sees it. `in_use` by a handle, not merely by children."""

    usage: UsageRecord
    in_use: bool

    @property
    def last_used(self) -> float:
        """Seconds since the epoch."""
        return self.usage.last_used_at.timestamp()


def keep_bytes(policy: PrunePolicy, total: int, stat: DiskStat) -> int:
    """How much may stay; 0 for no say in it."""
    keep = policy.max_used_space
    excess = policy.min_free_space - stat.free
    if excess > 0:
        keep = min(keep, total - excess) if keep else total - excess
    elif policy.min_free_space and keep == 0:
        keep = total
    return max(keep, policy.reserved_space)


def fields(record: UsageRecord) -> Fields:
    """What filters can ask about a record."""

    def flag(value: bool) -> str | None:
        return "" if value else None

    return {
        "id": record.id or None,
        "parents": ";".join(record.parents) or None,
        "description": record.description or None,
        "inuse": flag(record.in_use),
        "mutable": flag(record.mutable),
        "immutable": flag(not record.mutable),
        "type": record.record_type,
        "shared": None,  # with another image store: here there is one
        "private": "",
    }


def choose(
    records: Sequence[PruneCandidate], policy: PrunePolicy, stat: DiskStat, now: float
) -> Iterator[str]:
    """Ids to delete, in order: children before parents, least used and longest unused first,
    until the policy's sizes are met. `now` in seconds since the epoch."""
    total = sum(r.usage.size for r in records)
    keep = keep_bytes(policy, total, stat)
    allowed = _allowed(policy, now)
    eligible = {r.usage.id: r for r in records if allowed(r)}
    children = Counter(p for r in records for p in r.usage.parents)
    value = _values([*eligible.values()])
    heap = [(value[i], i) for i in eligible if not children[i]]
    heapq.heapify(heap)
    while heap and not (keep and total < keep):
        _, chosen = heapq.heappop(heap)
        yield chosen
        total -= eligible[chosen].usage.size
        for parent in eligible[chosen].usage.parents:
            children[parent] -= 1
            if not children[parent] and parent in eligible:
                heapq.heappush(heap, (value[parent], parent))


def _allowed(policy: PrunePolicy, now: float) -> Callable[[PruneCandidate], bool]:
    matches = parse(policy.filters)
    cutoff = now - policy.keep_duration_s

    def allowed(record: PruneCandidate) -> bool:
        usage = record.usage
        if record.in_use:
            return False
        if not policy.all and usage.record_type in _KEPT_TYPES:
            return False
        if policy.keep_duration_s and record.last_used > cutoff:
            return False
        return matches(fields(usage))

    return allowed


def _values(records: Sequence[PruneCandidate]) -> dict[str, float]:
    """The worth of each record: the rank of its last use and that of its number of uses, each as
    a share of the highest, added."""
    last = _ranks([r.last_used for r in records])
    count = _ranks([float(r.usage.usage_count) for r in records])
    return {r.usage.id: a + b for r, a, b in zip(records, last, count, strict=True)}


def _ranks(numbers: Sequence[float]) -> list[float]:
    ranks = {n: at for at, n in enumerate(sorted(set(numbers)), 1)}
    return [ranks[n] / len(ranks) for n in numbers]
