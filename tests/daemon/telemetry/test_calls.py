"""Calls are measured and traced, whatever their shape."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc.aio
import pytest

from croze.api import otlp_pb2
from croze.daemon.telemetry.calls import WatchedCalls
from croze.errors import NotFound
from croze.rpc.server import Server
from croze.rpc.servers import Context, aborting
from croze.telemetry.metrics import Metrics
from croze.telemetry.prometheus import render
from croze.telemetry.spans import CURRENT, SpanContext, root
from croze.telemetry.traces import Traces
from tests.rpc.grpc_client import open_channel
from tests.rpc.served import served
from tests.support.waiting import PATIENCE_S


class Shapes:
    """A method of every shape; remembers the spans it saw."""

    def __init__(self) -> None:
        self.seen: list[SpanContext | None] = []

    async def one(self, request: bytes, context: Context) -> bytes:
        self.seen.append(CURRENT.get())
        async with aborting(context, plain=False):
            if not request:
                raise NotFound("nothing")
        return request

    async def three(self, request: bytes, context: Context) -> AsyncIterator[bytes]:
        for _ in range(3):
            yield request

    async def count(self, requests: AsyncIterator[bytes], context: Context) -> bytes:
        return str(len([each async for each in requests])).encode()

    async def echo(self, requests: AsyncIterator[bytes], context: Context) -> None:
        async for each in requests:
            await context.write(each)

    def methods(self) -> dict[str, grpc.RpcMethodHandler[object, object]]:
        return {
            "one": grpc.unary_unary_rpc_method_handler(self.one),
            "three": grpc.unary_stream_rpc_method_handler(self.three),
            "count": grpc.stream_unary_rpc_method_handler(self.count),
            "echo": grpc.stream_stream_rpc_method_handler(self.echo),
        }


async def both() -> AsyncIterator[bytes]:
    yield b"a"
    yield b"b"


async def test_calls_are_counted_timed_and_traced(tmp_path: Path) -> None:
    metrics, traces, shapes = Metrics(), Traces(otlp_pb2.Resource()), Shapes()
    server = Server(WatchedCalls(metrics, lambda: traces).watching)
    server.add_methods("test.Shapes", shapes.methods())
    parent = root()
    traces.want(parent.trace_id)
    headers = (("traceparent", parent.traceparent),)
    async with (
        asyncio.timeout(PATIENCE_S),
        served(server, tmp_path / "s") as address,
        open_channel(address) as channel,
    ):
        one = channel.unary_unary("/test.Shapes/one", bytes, bytes)
        assert await one(b"x", metadata=headers) == b"x"
        with pytest.raises(grpc.aio.AioRpcError, match="nothing"):
            await one(b"")
        three = channel.unary_stream("/test.Shapes/three", bytes, bytes)
        assert [each async for each in three(b"x")] == [b"x"] * 3
        assert await channel.stream_unary("/test.Shapes/count", bytes, bytes)(both()) == b"2"
        echo = channel.stream_stream("/test.Shapes/echo", bytes, bytes)
        assert [each async for each in echo(both())] == [b"a", b"b"]
    (span,) = [ended.span for ended in traces.take(parent.trace_id)]
    assert (span.name, span.parent_span_id) == ("test.Shapes/one", parent.span_id)
    first, second = shapes.seen
    assert first is not None
    assert (first.span_id, second) == (span.span_id, None)
    counts = [x for x in render(metrics).splitlines() if x.startswith("rpc_server_call_duration")]
    for method, code in (
        *(("one", "OK"), ("one", "NOT_FOUND"), ("three", "OK")),
        *(("count", "OK"), ("echo", "OK")),
    ):
        labels = f'rpc_method="test.Shapes/{method}",rpc_response_status_code="{code}",'
        (line,) = [x for x in counts if "_count{" in x and labels in x]
        assert line.endswith('rpc_system_name="grpc"} 1')
