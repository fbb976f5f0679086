"""What the daemon measures, and where that goes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from functools import cached_property
from typing import TYPE_CHECKING

from croze.aio.parallel import meanwhile

if TYPE_CHECKING:
    from croze.daemon.telemetry.build_metrics import BuildMetrics
    from croze.daemon.telemetry.calls import WatchedCalls
    from croze.telemetry.export import SpanBatches
    from croze.telemetry.machine import SharedSamples
    from croze.telemetry.metrics import Metrics
    from croze.telemetry.traces import Traces

SERVICE_NAME = "buildkitd"
"""What dashboards made for BuildKit look for; `OTEL_SERVICE_NAME` changes it."""
_ASKING = ("OTEL_", "JAEGER_")
"""How the names begin of variables that may ask for something to be sent."""

Loop = Callable[[], Coroutine[object, object, object]]


class Telemetry:
    """All that measures the daemon; each part is loaded when something is to be measured by it."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self._spans: SpanBatches | None = None

    @cached_property
    def metrics(self) -> Metrics:
        from croze.telemetry.metrics import Metrics

        return Metrics()

    @cached_property
    def builds(self) -> BuildMetrics:
        from croze.daemon.telemetry.build_metrics import build_metrics

        return build_metrics(self.metrics)

    @cached_property
    def calls(self) -> WatchedCalls:
        from croze.daemon.telemetry.calls import WatchedCalls

        return WatchedCalls(self.metrics, lambda: self.traces)

    @cached_property
    def traces(self) -> Traces:
        from croze.telemetry import environment
        from croze.telemetry.traces import Traces

        return Traces(environment.resource(self._env, SERVICE_NAME), self._spans)

    @cached_property
    def samples(self) -> SharedSamples:
        from croze.telemetry.machine import SharedSamples

        return SharedSamples()

    def exporting(self) -> list[Loop]:
        """What is sent, by loops to be run. Before anything is measured. Raises `InvalidRequest`
        for an exporter or a protocol that there is none of."""
        from croze.telemetry import environment

        env, loops = self._env, list[Loop]()
        traces_to, metrics_to = environment.traces_target(env), environment.metrics_target(env)
        if traces_to is None and metrics_to is None:
            return loops
        from croze.telemetry.export import MetricReader, SpanBatches
        from croze.telemetry.send import METRICS_METHOD, TRACES_METHOD, sender

        if traces_to is not None:
            delay_s = environment.milliseconds(env, "OTEL_BSP_SCHEDULE_DELAY", 5.0)
            self._spans = SpanBatches(sender(traces_to, TRACES_METHOD), delay_s)
            loops.append(self._spans.run)
        if metrics_to is not None:
            interval_s = environment.milliseconds(env, "OTEL_METRIC_EXPORT_INTERVAL", 60.0)
            resource = environment.resource(env, SERVICE_NAME)
            send = sender(metrics_to, METRICS_METHOD)
            loops.append(MetricReader(send, self.metrics, resource, interval_s).run)
        return loops


@asynccontextmanager
async def measuring(env: Mapping[str, str]) -> AsyncIterator[Telemetry]:
    """Telemetry that sends what the environment asks for, also the last of it on the way out.
    Raises `InvalidRequest` for an exporter or a protocol that there is none of."""
    telemetry = Telemetry(env)
    async with meanwhile() as beside:
        if any(name.startswith(_ASKING) for name in env):
            for loop in telemetry.exporting():
                beside.begin(loop())
        yield telemetry
