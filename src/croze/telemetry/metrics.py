"""Counters and histograms: added to in the event loop, read by Prometheus and sent as OTLP."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import Struct, field

from croze.api import otlp_pb2
from croze.telemetry.spans import key_values

Labels = tuple[tuple[str, str], ...]
"""Sorted by name."""


class InstrumentationScope(Struct, frozen=True):
    """The part of a program that measures something, as OpenTelemetry calls it."""

    name: str
    version: str = ""
    schema_url: str = ""


class Count(Struct):
    """A histogram's or counter's values for one set of labels; `sent` is what collectors know."""

    buckets: list[int]
    count: int = 0
    sum: float = 0.0
    sent: tuple[list[int], int, float] = field(default_factory=lambda: ([], 0, 0.0))


class Instrument(Struct):
    """One metric. A counter counts in `count`; `bounds` are a histogram's upper limits."""

    kind: Literal["counter", "histogram"]
    name: str
    description: str
    scope: InstrumentationScope
    unit: str = ""
    bounds: tuple[float, ...] = ()
    values: dict[Labels, Count] = field(default_factory=dict)

    def add(self, amount: int, labels: Mapping[str, str]) -> None:
        """Count up."""
        self._value(labels).count += amount

    def observe(self, value: float, labels: Mapping[str, str]) -> None:
        """One more measurement."""
        histogram = self._value(labels)
        histogram.count += 1
        histogram.sum += value
        histogram.buckets[bisect_left(self.bounds, value)] += 1

    def _value(self, labels: Mapping[str, str]) -> Count:
        key = tuple(sorted(labels.items()))
        value = self.values.get(key)
        if value is None:
            value = self.values[key] = Count([0] * (len(self.bounds) + 1))
        return value


class Metrics:
    """All of a daemon's instruments."""

    def __init__(self) -> None:
        self.instruments: list[Instrument] = []

    def counter(self, name: str, description: str, scope: InstrumentationScope) -> Instrument:
        """A number that only grows, under OpenTelemetry's name."""
        return self._new(Instrument("counter", name, description, scope))

    def histogram(
        self,
        name: str,
        description: str,
        scope: InstrumentationScope,
        *,
        unit: str = "",
        bounds: Sequence[float] = (),
    ) -> Instrument:
        """How many values there were below each of the `bounds`, in `unit` (UCUM)."""
        instrument = Instrument("histogram", name, description, scope, unit, tuple(bounds))
        return self._new(instrument)

    def _new(self, instrument: Instrument) -> Instrument:
        self.instruments.append(instrument)
        return instrument

    def deltas(self, since_ns: int, now_ns: int) -> list[otlp_pb2.ScopeMetrics]:
        """What changed since this was last asked, by scope."""
        scopes: dict[InstrumentationScope, otlp_pb2.ScopeMetrics] = {}
        for one in self.instruments:
            metric = otlp_pb2.Metric(name=one.name, description=one.description, unit=one.unit)
            if not _fill(metric, one, since_ns, now_ns):
                continue
            if one.scope not in scopes:
                scope = otlp_pb2.InstrumentationScope(
                    name=one.scope.name, version=one.scope.version
                )
                scopes[one.scope] = otlp_pb2.ScopeMetrics(
                    scope=scope, schema_url=one.scope.schema_url
                )
            scopes[one.scope].metrics.append(metric)
        return list(scopes.values())


def _fill(metric: otlp_pb2.Metric, one: Instrument, since_ns: int, now_ns: int) -> bool:
    delta = otlp_pb2.AGGREGATION_TEMPORALITY_DELTA
    changed = False
    for labels, value in one.values.items():
        buckets, count, total = value.sent
        if value.count == count:
            continue
        changed = True
        value.sent = (list(value.buckets), value.count, value.sum)
        attributes = key_values(dict(labels))
        if one.kind == "counter":
            metric.sum.aggregation_temporality = delta
            metric.sum.is_monotonic = True
            metric.sum.data_points.add(
                start_time_unix_nano=since_ns,
                time_unix_nano=now_ns,
                as_int=value.count - count,
                attributes=attributes,
            )
        else:
            before = buckets or [0] * len(value.buckets)
            metric.histogram.aggregation_temporality = delta
            metric.histogram.data_points.add(
                start_time_unix_nano=since_ns,
                time_unix_nano=now_ns,
                count=value.count - count,
                sum=value.sum - total,
                bucket_counts=[new - old for new, old in zip(value.buckets, before, strict=True)],
                explicit_bounds=one.bounds,
                attributes=attributes,
            )
    return changed
