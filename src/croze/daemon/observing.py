"""What the daemon measures, and where that goes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager

from msgspec import Struct, field

from croze.aio.parallel import meanwhile
from croze.api import control_pb2, otlp_pb2
from croze.daemon.calls import WatchedCalls
from croze.gotypes.moments import nanoseconds
from croze.rpc.library import grpc
from croze.telemetry import environment
from croze.telemetry.export import MetricReader, SpanBatches
from croze.telemetry.machine import SharedSamples
from croze.telemetry.metrics import Instrument, InstrumentationScope, Metrics
from croze.telemetry.traces import Traces

SERVICE_NAME = "buildkitd"
"""What dashboards made for BuildKit look for; `OTEL_SERVICE_NAME` changes it."""
_SCOPE = InstrumentationScope("github.com/moby/buildkit/solver/llbsolver")
_GO_NAMES = {"CANCELLED": "Canceled"}


class BuildMetrics(Struct, frozen=True):
    """Metrics of finished builds, with BuildKit's names and labels
    (`solver/llbsolver/metrics.go`)."""

    builds: Instrument
    steps: Instrument
    duration: Instrument

    def finished(self, record: control_pb2.BuildHistoryRecord) -> None:
        """Count one more build, by its complete record."""
        status = "failure" if record.HasField("error") else "success"
        labels = {"status": status}
        if record.HasField("error"):
            labels["error_code"] = _code_name(record.error.code)
        self.builds.add(1, labels)
        self.steps.add(record.numCompletedSteps, {"kind": "completed"})
        self.steps.add(record.numCachedSteps, {"kind": "cached"})
        self.steps.add(record.numTotalSteps, {"kind": "total"})
        self.steps.add(record.numWarnings, {"kind": "warnings"})
        took = nanoseconds(record.CompletedAt) - nanoseconds(record.CreatedAt)
        self.duration.observe(took / 1e9, {"status": status})


def build_metrics(metrics: Metrics) -> BuildMetrics:
    return BuildMetrics(
        builds=metrics.counter(
            "buildkit.builds",
            "Number of builds completed, labeled by frontend, status, and (on failure) gRPC error"
            " code.",
            _SCOPE,
        ),
        steps=metrics.counter(
            "buildkit.builds.steps",
            "Cumulative count of build steps observed, partitioned by kind (completed, cached,"
            " total, warnings).",
            _SCOPE,
        ),
        duration=metrics.histogram(
            "buildkit.build.duration",
            "Wall-clock duration of build solves from CreatedAt to CompletedAt.",
            _SCOPE,
            unit="s",
        ),
    )


def _code_name(number: int) -> str:
    """A code as Go spells it: `InvalidArgument`."""
    names = {code.value[0]: code.name for code in grpc.StatusCode}
    name = names.get(number, "UNKNOWN")
    return _GO_NAMES.get(name) or name.title().replace("_", "")


class Telemetry(Struct, frozen=True):
    """All that measures the daemon."""

    metrics: Metrics
    builds: BuildMetrics
    calls: WatchedCalls
    traces: Traces
    samples: SharedSamples = field(default_factory=SharedSamples)


@asynccontextmanager
async def measuring(env: Mapping[str, str]) -> AsyncIterator[Telemetry]:
    """Telemetry that sends what the environment asks for, also the last of it on the way out.
    Raises `InvalidRequest` for an exporter or a protocol that there is none of."""
    resource = environment.resource(env, SERVICE_NAME)
    metrics = Metrics()
    spans, loops = _exporting(env, metrics, resource)
    traces = Traces(resource, spans)
    async with meanwhile() as beside:
        for loop in loops:
            beside.begin(loop())
        yield Telemetry(metrics, build_metrics(metrics), WatchedCalls(metrics, traces), traces)


def _exporting(
    env: Mapping[str, str], metrics: Metrics, resource: otlp_pb2.Resource
) -> tuple[SpanBatches | None, list[Callable[[], Coroutine[object, object, object]]]]:
    """What is sent, by loops to be run."""
    spans, loops = None, list[Callable[[], Coroutine[object, object, object]]]()
    traces_to, metrics_to = environment.traces_target(env), environment.metrics_target(env)
    if traces_to is None and metrics_to is None:
        return spans, loops
    from croze.telemetry.send import METRICS_METHOD, TRACES_METHOD, sender

    if traces_to is not None:
        delay_s = environment.milliseconds(env, "OTEL_BSP_SCHEDULE_DELAY", 5.0)
        spans = SpanBatches(sender(traces_to, TRACES_METHOD), delay_s)
        loops.append(spans.run)
    if metrics_to is not None:
        interval_s = environment.milliseconds(env, "OTEL_METRIC_EXPORT_INTERVAL", 60.0)
        reader = MetricReader(sender(metrics_to, METRICS_METHOD), metrics, resource, interval_s)
        loops.append(reader.run)
    return spans, loops
