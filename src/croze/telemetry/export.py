"""Spans and metrics leave in batches. What a collector does not take is dropped, and said once."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Coroutine, Iterable, Sequence
from typing import TYPE_CHECKING

from croze.api import otlp_pb2
from croze.errors import CrozeError
from croze.telemetry.metrics import Metrics
from croze.telemetry.traces import RecordedSpan

if TYPE_CHECKING:
    from croze.telemetry.send import RequestSender

log = logging.getLogger(__name__)

QUEUE_SPANS = 2048
BATCH_SPANS = 512
LAST_S = 5.0
"""How long leaving may take."""


class TelemetryDelivery:
    """Sends, and complains of the first failure after a success."""

    def __init__(self, sender: RequestSender, what: str) -> None:
        self._sender = sender
        self._what = what
        self._failed = False

    async def send(
        self, request: otlp_pb2.ExportTraceServiceRequest | otlp_pb2.ExportMetricsServiceRequest
    ) -> None:
        """Send one request. Never raises."""
        try:
            await self._sender.send(request)
        except (CrozeError, OSError) as error:
            level = logging.DEBUG if self._failed else logging.WARNING
            log.log(level, "%s export: %s", self._what, error)
            self._failed = True
        else:
            self._failed = False

    async def close(self) -> None:
        await self._sender.close()


class SpanBatches:
    """A `SpanExporter` that sends in batches. Cancelling `run` has the rest sent."""

    def __init__(self, sender: RequestSender, delay_s: float) -> None:
        self._delivery = TelemetryDelivery(sender, "traces")
        self._delay_s = delay_s
        self._queue: deque[RecordedSpan] = deque(maxlen=QUEUE_SPANS)
        self._waiting = asyncio.Event()
        self._many = asyncio.Event()

    def put(self, spans: Sequence[RecordedSpan]) -> None:
        """See `SpanExporter`. The oldest go if there are too many."""
        self._queue.extend(spans)
        if self._queue:
            self._waiting.set()
        if len(self._queue) >= BATCH_SPANS:
            self._many.set()

    async def run(self) -> None:
        """Send, for ever."""
        try:
            while True:
                await self._waiting.wait()
                try:
                    async with asyncio.timeout(self._delay_s):
                        await self._many.wait()
                except TimeoutError:
                    pass
                await self._send()
        finally:
            await _last(self._send(), self._delivery)

    async def _send(self) -> None:
        self._waiting.clear()
        self._many.clear()
        while self._queue:
            count = min(BATCH_SPANS, len(self._queue))
            batch = [self._queue.popleft() for _ in range(count)]
            await self._delivery.send(request_of(batch))


def request_of(spans: Iterable[RecordedSpan]) -> otlp_pb2.ExportTraceServiceRequest:
    """One request, spans of one origin together."""
    request = otlp_pb2.ExportTraceServiceRequest()
    scopes: dict[tuple[int, int], otlp_pb2.ScopeSpans] = {}
    for one in spans:
        key = (id(one.resource), id(one.scope))
        if key not in scopes:
            sent = request.resource_spans.add(resource=one.resource)
            scopes[key] = sent.scope_spans.add(scope=one.scope)
        scopes[key].spans.append(one.span)
    return request


class MetricReader:
    """Sends what was counted since the last time. Leave by cancelling `run`."""

    def __init__(
        self,
        sender: RequestSender,
        metrics: Metrics,
        resource: otlp_pb2.Resource,
        interval_s: float,
    ) -> None:
        self._delivery = TelemetryDelivery(sender, "metrics")
        self._metrics = metrics
        self._resource = resource
        self._interval_s = interval_s
        self._since_ns = time.time_ns()

    async def run(self) -> None:
        """Send, for ever."""
        try:
            while True:
                await asyncio.sleep(self._interval_s)
                await self._send()
        finally:
            await _last(self._send(), self._delivery)

    async def _send(self) -> None:
        now_ns = time.time_ns()
        scopes = self._metrics.deltas(self._since_ns, now_ns)
        self._since_ns = now_ns
        if scopes:
            sent = otlp_pb2.ResourceMetrics(resource=self._resource, scope_metrics=scopes)
            await self._delivery.send(otlp_pb2.ExportMetricsServiceRequest(resource_metrics=[sent]))


async def _last(rest: Coroutine[None, None, None], delivery: TelemetryDelivery) -> None:
    try:
        async with asyncio.timeout(LAST_S):
            await rest
    except TimeoutError:
        log.warning("leaving without having sent everything")
    await delivery.close()
