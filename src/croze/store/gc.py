"""Which records go: a pure choice over plain values, as BuildKit makes it (cache/manager.go)."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from croze.store.contract import PrunePolicy, UsageRecord
from croze.store.filters import Fields, parse

GIB = 1 << 30
GB = 1_000_000_000
DEFAULT_CAP_BYTES = 2 * GB
_RESERVED_PERCENT, _RESERVED_BYTES = 10, 10 * GB
_FREE_PERCENT = 20
_MAX_PERCENT, _MAX_BYTES = 80, 100 * GB
_KEPT_TYPES = ("internal", "frontend")


@dataclass(frozen=True)
class DiskStat:
    """A filesystem, in bytes. `available` is what an unprivileged writer may still use."""

    total: int
    free: int
    available: int


@dataclass(frozen=True)
class Candidate:
    """A record as the choice sees it. `in_use` by a handle, not merely by children."""

    usage: UsageRecord
    in_use: bool

    @property
    def last_used(self) -> float:
        """Seconds since the epoch."""
        return self.usage.last_used_at.timestamp()


def percent_bytes(stat: DiskStat, percent: int) -> int:
    """A share of the disk, rounded up to whole gigabytes as BuildKit does."""
    if stat.total == 0:
        return DEFAULT_CAP_BYTES
    return (stat.total * percent // 100 // GIB + 1) * GB


def default_policies(
    stat: DiskStat, reserved: int = 0, max_used: int = 0, min_free: int = 0
) -> Sequence[PrunePolicy]:
    """The four steps that BuildKit's daemon takes by default, gentlest first. Where no size is
    given, all three are made from the disk's."""
    if not (reserved or max_used or min_free):
        reserved = min(percent_bytes(stat, _RESERVED_PERCENT), _RESERVED_BYTES)
        max_used = min(percent_bytes(stat, _MAX_PERCENT), _MAX_BYTES)
        min_free = percent_bytes(stat, _FREE_PERCENT)
    limits = PrunePolicy(reserved_space=reserved, max_used_space=max_used, min_free_space=min_free)
    day_s = 24 * 3600.0
    return (
        PrunePolicy(
            filters=("type==source.local", "type==exec.cachemount", "type==source.git.checkout"),
            keep_duration_s=2 * day_s,
            max_used_space=512_000_000,
        ),
        _with(limits, keep_duration_s=60 * day_s),
        limits,
        _with(limits, all=True),
    )


def _with(policy: PrunePolicy, *, all: bool = False, keep_duration_s: float = 0) -> PrunePolicy:
    return PrunePolicy(
        policy.filters,
        all,
        keep_duration_s,
        policy.reserved_space,
        policy.max_used_space,
        policy.min_free_space,
    )


def keep_bytes(policy: PrunePolicy, total: int, stat: DiskStat) -> int:
    """How much may stay; 0 for no say in it."""
    if not (policy.max_used_space or policy.reserved_space or policy.min_free_space):
        return 0
    keep = policy.max_used_space
    excess = policy.min_free_space - stat.free
    if policy.min_free_space and excess > 0:
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
        "shared": flag(record.shared),
        "private": flag(not record.shared),
    }


def choose(
    records: Sequence[Candidate], policy: PrunePolicy, stat: DiskStat, now: float
) -> Iterator[str]:
    """Ids to delete, in order: children before parents, least used and longest unused first,
    until the policy's sizes are met. `now` in seconds since the epoch."""
    total = sum(r.usage.size for r in records if not r.usage.shared)
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


def _allowed(policy: PrunePolicy, now: float) -> Callable[[Candidate], bool]:
    matches = parse(policy.filters)
    cutoff = now - policy.keep_duration_s

    def allowed(record: Candidate) -> bool:
        usage = record.usage
        if record.in_use:
            return False
        if not policy.all and (usage.record_type in _KEPT_TYPES or usage.shared):
            return False
        if policy.keep_duration_s and record.last_used > cutoff:
            return False
        return matches(fields(usage))

    return allowed


def _values(records: Sequence[Candidate]) -> dict[str, float]:
    """The worth of each record: the rank of its last use and that of its number of uses, each as
    a share of the highest, added."""
    last = _ranks([r.last_used for r in records])
    count = _ranks([float(r.usage.usage_count) for r in records])
    return {r.usage.id: a + b for r, a, b in zip(records, last, count, strict=True)}


def _ranks(numbers: Sequence[float]) -> list[float]:
    ranks = {n: at for at, n in enumerate(sorted(set(numbers)), 1)}
    return [ranks[n] / len(ranks) for n in numbers]
