"""`opentelemetry.proto.collector.trace.v1.TraceService`: clients hand in their spans."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import grpc.aio

from croze.api import otlp_pb2
from croze.daemon.sockets import make_way
from croze.errors import InvalidRequest
from croze.rpc.channels import make_server
from croze.rpc.servers import Context
from croze.telemetry.traces import Traces

SERVICE = "opentelemetry.proto.collector.trace.v1.TraceService"
_CONNECTIONS = 128
"""Of all containers. Every step of a build can make some."""
_STREAMS = 16


def trace_handler(traces: Traces) -> grpc.GenericRpcHandler[object, object]:
    """For a server of ours. The service's package is not that of our messages, see `otlp.proto`."""

    async def export(
        request: otlp_pb2.ExportTraceServiceRequest, context: Context
    ) -> otlp_pb2.ExportTraceServiceResponse:
        traces.receive(request)
        return otlp_pb2.ExportTraceServiceResponse()

    method = grpc.unary_unary_rpc_method_handler(
        export,
        request_deserializer=otlp_pb2.ExportTraceServiceRequest.FromString,
        response_serializer=otlp_pb2.ExportTraceServiceResponse.SerializeToString,
    )
    made: grpc.GenericRpcHandler[object, object] = grpc.method_handlers_generic_handler(
        SERVICE, {"Export": method}
    )
    return made


@asynccontextmanager
async def collecting(traces: Traces, path: Path) -> AsyncIterator[None]:
    """Serve this service alone on a socket that is lent to containers. Raises `InvalidRequest`
    if it can't be had."""
    make_way(path.parent)
    path.unlink(missing_ok=True)
    server = make_server((("grpc.max_concurrent_streams", _STREAMS),), most=_CONNECTIONS)
    server.add_generic_rpc_handlers((trace_handler(traces),))
    folder = os.open(path.parent, os.O_PATH)
    try:
        # By descriptor: the address of a socket has room for 107 bytes.
        server.add_insecure_port(f"unix:/proc/self/fd/{folder}/{path.name}")
    except RuntimeError as error:
        message = f"creating trace controller listener: cannot listen on {path}"
        raise InvalidRequest(message) from error
    finally:
        os.close(folder)
    path.chmod(0o666)
    await server.start()
    try:
        yield
    finally:
        await server.stop(None)
        path.unlink(missing_ok=True)
