"""When a vertex ran: it may run more than once, and members of a group run side by side."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct


class Interval(Struct, frozen=True):
    """A span of time, in nanoseconds since the epoch; without a `stop` it is still running."""

    start: int
    stop: int | None

    def seconds(self, now: int) -> float:
        """How long it has lasted at `now`, which is in nanoseconds."""
        return ((now if self.stop is None else self.stop) - self.start) / 1e9


def merge(intervals: Iterable[Interval]) -> list[Interval]:
    """Overlapping intervals as one; one that has not stopped takes in all after it."""
    merged: list[Interval] = []
    for interval in sorted(intervals, key=lambda i: i.start):
        if not merged:
            merged.append(interval)
            continue
        last = merged[-1]
        if last.stop is None:
            break
        if last.stop < interval.start:
            merged.append(interval)
        elif interval.stop is None or interval.stop > last.stop:
            merged[-1] = Interval(last.start, interval.stop)
    return merged
