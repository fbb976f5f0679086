"""`opentelemetry.proto.collector.trace.v1.TraceService`: clients hand in their spans."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path

from croze.aio.share import TimeShare
from croze.aio.streams import listening, on_sockets, serving
from croze.api import otlp_pb2
from croze.daemon.host.sockets import make_way
from croze.errors import InvalidRequest
from croze.rpc.call import read
from croze.rpc.http2.server import Allowance
from croze.rpc.library import grpc
from croze.rpc.server import Patience, Server
from croze.rpc.servers import Context
from croze.telemetry.traces import Traces

SERVICE = "opentelemetry.proto.collector.trace.v1.TraceService"
_CONNECTIONS = 128
"""How many connections, of all containers. Every step of a build can make some."""
_STREAMS = 16
_MESSAGE_BYTES = 4 << 20
"""As BuildKit's collector takes it."""
_UNREAD_BYTES = 64 << 20
"""How much of spans that have not come whole: of all containers, too."""


def trace_methods(
    traces: Traces,
    share: TimeShare | None = None,
) -> tuple[str, Mapping[str, grpc.RpcMethodHandler[object, object]]]:
    """The service and its methods. Its package is not that of our messages, see `otlp.proto`. With
    a `share`, what is handed in is read within that: it may be of very many parts."""

    async def export(request: bytes, context: Context) -> otlp_pb2.ExportTraceServiceResponse:
        async with share.turn() if share is not None else nullcontext():
            traces.receive(read(otlp_pb2.ExportTraceServiceRequest.FromString, request))
        return otlp_pb2.ExportTraceServiceResponse()

    method: grpc.RpcMethodHandler[object, object] = grpc.unary_unary_rpc_method_handler(
        export,
        request_deserializer=bytes,
        response_serializer=otlp_pb2.ExportTraceServiceResponse.SerializeToString,
    )
    return SERVICE, {"Export": method}


@asynccontextmanager
async def collecting(traces: Traces, path: Path) -> AsyncIterator[None]:
    """Serve this service alone on a socket that is lent to containers. Raises `InvalidRequest`
    if it can't be had."""
    make_way(path.parent)
    path.unlink(missing_ok=True)
    share = TimeShare()
    server = Server(
        streams=_STREAMS,
        patience=Patience(),
        message_limit_bytes=_MESSAGE_BYTES,
        together=Allowance(_UNREAD_BYTES),
        share=share,
    )
    server.add_methods(*trace_methods(traces, share))
    folder = os.open(path.parent, os.O_PATH)
    try:
        # By descriptor: the address of a socket has room for 107 bytes.
        listener = listening(f"/proc/self/fd/{folder}/{path.name}")
    except OSError as error:
        message = f"creating trace controller listener: cannot listen on {path}"
        raise InvalidRequest(message) from error
    finally:
        os.close(folder)
    path.chmod(0o666)
    try:
        async with serving(listener, on_sockets(server.serve), most=_CONNECTIONS):
            yield
    finally:
        path.unlink(missing_ok=True)
