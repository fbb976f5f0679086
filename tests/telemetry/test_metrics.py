"""Counting, and what Prometheus reads."""

from __future__ import annotations

from croze.telemetry.metrics import InstrumentationScope, Metrics
from croze.telemetry.prometheus import render

SCOPE = InstrumentationScope("here")


def test_prometheus() -> None:
    metrics = Metrics()
    builds = metrics.counter("buildkit.builds", "Builds.", SCOPE)
    took = metrics.histogram("buildkit.took", 'How "long".', SCOPE, unit="s", bounds=(0.5, 1))
    metrics.counter("never", "Never counted.", SCOPE)
    builds.add(2, {"status": 'a"b\n'})
    for seconds in (0.25, 0.5, 0.75, 4):
        took.observe(seconds, {})
    text = render(metrics)
    scope = 'otel_scope_name="here",otel_scope_schema_url="",otel_scope_version=""'
    assert text.startswith(
        f"""\
# HELP buildkit_builds_total Builds.
# TYPE buildkit_builds_total counter
buildkit_builds_total{{{scope},status="a\\"b\\n"}} 2
# HELP buildkit_took_seconds How \\"long\\".
# TYPE buildkit_took_seconds histogram
buildkit_took_seconds_bucket{{{scope},le="0.5"}} 2
buildkit_took_seconds_bucket{{{scope},le="1"}} 3
buildkit_took_seconds_bucket{{{scope},le="+Inf"}} 4
buildkit_took_seconds_sum{{{scope}}} 5.5
buildkit_took_seconds_count{{{scope}}} 4
# HELP process_cpu_seconds_total"""
    )
    assert "never" not in text


def test_collectors_hear_what_is_new() -> None:
    metrics = Metrics()
    builds = metrics.counter("b", "", SCOPE)
    took = metrics.histogram("t", "", SCOPE, bounds=(1,))
    builds.add(2, {"status": "x"})
    took.observe(3, {})
    (scope,) = metrics.deltas(1, 2)
    count, histogram = scope.metrics
    assert count.sum.data_points[0].as_int == 2
    assert list(histogram.histogram.data_points[0].bucket_counts) == [0, 1]
    assert metrics.deltas(2, 3) == []
    took.observe(0.5, {})
    (scope,) = metrics.deltas(3, 4)
    (histogram,) = scope.metrics
    point = histogram.histogram.data_points[0]
    assert (point.count, point.sum, list(point.bucket_counts)) == (1, 0.5, [1, 0])
