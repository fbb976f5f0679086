"""What is counted of builds that are over."""

from __future__ import annotations

from msgspec import Struct

from croze.api import control_pb2
from croze.gotypes.moments import nanoseconds
from croze.rpc.library import grpc
from croze.telemetry.metrics import Instrument, InstrumentationScope, Metrics

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
    """Instruments with BuildKit's names and descriptions."""
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
