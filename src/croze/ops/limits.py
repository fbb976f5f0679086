"""Limits of steps, and what they are where builds that share a step ask for different ones."""

from __future__ import annotations

from msgspec import Struct

from croze.api import ops_pb2
from croze.runtime.contract import Resources

MAX_CPU = 8192
"""The largest index in a set: a range in a client's words must not cost memory."""


class StepLimits(Struct, frozen=True):
    """`solver.contract.Limits` of an exec."""

    resources: Resources

    def relaxed(self, other: object) -> StepLimits:
        """The limits for a step that both share: see `most_relaxed`."""
        if not isinstance(other, StepLimits):
            return self
        return StepLimits(most_relaxed(self.resources, other.resources))


def step_limits(message: ops_pb2.LinuxResources) -> StepLimits:
    """What a build has limited the resources of its steps to, as its definitions say it."""
    return StepLimits(
        Resources(
            memory=message.memory,
            memory_swap=message.memorySwap,
            cpu_shares=message.cpuShares,
            cpu_period=message.cpuPeriod,
            cpu_quota=message.cpuQuota,
            cpuset_cpus=message.cpusetCpus,
            cpuset_mems=message.cpusetMems,
        )
    )


def most_relaxed(a: Resources, b: Resources) -> Resources:
    """The limits under which a shared step runs: no build is slowed down by what another one asked
    for."""
    period, quota = _bandwidth((a.cpu_period, a.cpu_quota), (b.cpu_period, b.cpu_quota))
    return Resources(
        memory=max(a.memory, b.memory) if a.memory and b.memory else 0,
        memory_swap=_swap(a.memory_swap, b.memory_swap),
        cpu_shares=max(a.cpu_shares, b.cpu_shares),
        cpu_period=period,
        cpu_quota=quota,
        cpuset_cpus=_union(a.cpuset_cpus, b.cpuset_cpus),
        cpuset_mems=_union(a.cpuset_mems, b.cpuset_mems),
    )


def _swap(a: int, b: int) -> int:
    """0 says nothing, -1 is no limit."""
    return -1 if -1 in (a, b) else max(a, b)


def _bandwidth(a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
    """The (period, quota) that lets more run, never a mixture; no quota is no limit. Of equals the
    shorter period, as that has its share more often."""
    if not a[1] and not b[1]:
        return 0, 0
    if not a[1] or not b[1]:
        return a if not a[1] else b
    if a[0] and b[0]:
        share_a, share_b = a[1] * b[0], b[1] * a[0]
        return max((share_a, -a[0], a), (share_b, -b[0], b))[2]
    return max((a[1], a[0], a), (b[1], b[0], b))[2]


def _union(a: str, b: str) -> str:
    """The union of two sets of indices (cpuset(7), "List format"). One that can't be read doesn't
    count."""
    if not a or not b:
        return ""
    set_a, set_b = _parse(a), _parse(b)
    if set_a is None or set_b is None:
        return b if set_a is None and set_b is not None else a
    return _format(sorted(set_a | set_b))


def _parse(text: str) -> set[int] | None:
    numbers: set[int] = set()
    for part in filter(None, (p.strip() for p in text.split(","))):
        low, dash, high = (p.strip() for p in part.partition("-"))
        high = high if dash else low
        if not (_is_index(low) and _is_index(high) and int(low) <= int(high)):
            return None
        numbers.update(range(int(low), int(high) + 1))
    return numbers


def _is_index(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10 and int(text) <= MAX_CPU


def _format(indices: list[int]) -> str:
    ranges: list[list[int]] = []
    for i in indices:
        if ranges and ranges[-1][1] == i - 1:
            ranges[-1][1] = i
        else:
            ranges.append([i, i])
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in ranges)
