"""The socket that containers send spans to."""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc
import grpc.aio
import pytest

from croze.api import control_pb2, control_pb2_grpc, otlp_pb2
from croze.daemon.telemetry.trace_service import collecting
from croze.telemetry.send import TRACES_METHOD
from croze.telemetry.spans import make_span, root
from croze.telemetry.traces import Traces
from tests.rpc.grpc_client import open_channel
from tests.support.waiting import PATIENCE_S


async def test_spans_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    traces, context = Traces(otlp_pb2.Resource()), root()
    traces.want(context.trace_id)
    path = tmp_path / ("long" * 25) / "otel.sock"
    request = otlp_pb2.ExportTraceServiceRequest()
    scoped = request.resource_spans.add().scope_spans.add()
    scoped.spans.append(make_span("inside", context, None, 1, 2))
    async with asyncio.timeout(PATIENCE_S), collecting(traces, path):
        assert path.stat().st_mode & 0o777 == 0o666
        monkeypatch.chdir(path.parent)
        async with open_channel("unix:otel.sock") as channel:
            export = channel.unary_unary(
                TRACES_METHOD,
                otlp_pb2.ExportTraceServiceRequest.SerializeToString,
                otlp_pb2.ExportTraceServiceResponse.FromString,
            )
            await export(request)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await control_pb2_grpc.ControlStub(channel).Info(control_pb2.InfoRequest())
            assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
            large = otlp_pb2.ExportTraceServiceRequest()
            large.resource_spans.add(schema_url="x" * (4 << 20))
            with pytest.raises(grpc.aio.AioRpcError, match="received message larger than max"):
                await export(large)
    assert not path.exists()
    assert [one.span.name for one in traces.take(context.trace_id)] == ["inside"]
