"""Delivery to collectors over both protocols."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from croze.api import otlp_pb2
from croze.daemon.telemetry.trace_service import trace_methods
from croze.rpc.server import Server
from croze.telemetry.environment import OtlpTarget
from croze.telemetry.export import MetricReader, SpanBatches
from croze.telemetry.metrics import InstrumentationScope, Metrics
from croze.telemetry.send import METRICS_METHOD, TRACES_METHOD, HttpSender, sender
from croze.telemetry.spans import make_span, root
from croze.telemetry.traces import Traces
from tests.rpc.served import served
from tests.support.waiting import PATIENCE_S

RESOURCE = otlp_pb2.Resource()


class Collected:
    """What a collector over HTTP was sent."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.arrived = asyncio.Event()
        self.status = 200

    async def handle(self, request: web.Request) -> web.Response:
        self.requests.append((request.path, dict(request.headers), await request.read()))
        self.arrived.set()
        return web.Response(status=self.status)


@asynccontextmanager
async def collector(collected: Collected) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/{path:.*}", collected.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield site.name if ":0" not in site.name else f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_http(caplog: pytest.LogCaptureFixture) -> None:
    collected = Collected()
    async with (
        collector(collected) as url,
        asyncio.timeout(PATIENCE_S),
        asyncio.TaskGroup() as group,
    ):
        target = OtlpTarget("http/protobuf", f"{url}/v1/traces", {"x-key": "k"}, compress=True)
        batches = SpanBatches(HttpSender(target), 0.01)
        running = group.create_task(batches.run())
        traces = Traces(RESOURCE, batches)
        traces.add([make_span("one", root(), None, 1, 2)])
        await collected.arrived.wait()
        collected.status = 503
        traces.add([make_span("two", root(), None, 1, 2)])
        running.cancel()
    (path, headers, data), _ = collected.requests
    assert (path, headers["x-key"]) == ("/v1/traces", "k")
    assert headers["Content-Type"] == "application/x-protobuf"
    request = otlp_pb2.ExportTraceServiceRequest.FromString(data)
    assert request.resource_spans[0].scope_spans[0].spans[0].name == "one"
    assert "503" in caplog.text


async def test_grpc(tmp_path: Path) -> None:
    """The daemon's own service is a collector, too."""
    received, context = Traces(RESOURCE), root()
    received.want(context.trace_id)
    server = Server()
    server.add_methods(*trace_methods(received))
    async with served(server, tmp_path / "otel.sock") as address:
        async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
            batches = SpanBatches(sender(OtlpTarget("grpc", address), TRACES_METHOD), 60)
            running = group.create_task(batches.run())
            await asyncio.sleep(0)
            Traces(RESOURCE, batches).add([make_span("one", context, None, 1, 2)])
            running.cancel()  # what is left is sent on the way out
        assert [one.span.name for one in received.take(context.trace_id)] == ["one"]


async def test_metrics() -> None:
    collected = Collected()
    metrics = Metrics()
    builds = metrics.counter("builds", "", InstrumentationScope("here"))
    async with (
        collector(collected) as url,
        asyncio.timeout(PATIENCE_S),
        asyncio.TaskGroup() as group,
    ):
        target = OtlpTarget("http/protobuf", f"{url}/v1/metrics")
        reader = MetricReader(sender(target, METRICS_METHOD), metrics, RESOURCE, 0.01)
        builds.add(1, {"status": "success"})
        running = group.create_task(reader.run())
        await collected.arrived.wait()
        running.cancel()
    request = otlp_pb2.ExportMetricsServiceRequest.FromString(collected.requests[0][2])
    metric = request.resource_metrics[0].scope_metrics[0].metrics[0]
    assert metric.name == "builds"
    assert metric.sum.is_monotonic
    assert len(collected.requests) == 1
