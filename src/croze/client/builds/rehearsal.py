"""Rehearses builds: the first one of a process costs more than later ones, so it is made before
anybody waits for it."""

from __future__ import annotations

import io
import socket
from collections.abc import AsyncIterator

from google.protobuf.empty_pb2 import Empty

from croze.aio.streams import on_sockets, serving
from croze.api import control_pb2
from croze.client.connect import connect
from croze.client.plan import SolvePlan
from croze.progress.display import make_display, running
from croze.rpc.call import Requests, ServerCall
from croze.rpc.library import grpc
from croze.rpc.server import Server
from croze.rpc.servers import Context
from croze.session.manager import HEALTH_CHECK, Sessions
from croze.session.packets import fresh_name

PATIENCE_S = 5


async def build_nothing(rounds: int = 1) -> None:
    """A build that takes nothing and leaves nothing, by a daemon that is ourselves. It opens files
    of nobody, and starts neither process nor thread."""
    name = fresh_name()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as listener:
        listener.bind(f"\0{name}")
        listener.listen(1)
        async with serving(listener, on_sockets(_RehearsedDaemon().server().serve), most=9):
            for _ in range(rounds):
                plan = SolvePlan(frontend="dockerfile.v0", frontend_attrs={"target": "x"})
                for mode in ("plain", "quiet"):
                    display = make_display(mode, io.BytesIO())
                    async with connect(f"unix-abstract:{name}") as client, running(display):
                        await client.solve(plan, display.update)


class _RehearsedDaemon:
    """As much of a daemon as a build sees that has been built before."""

    def __init__(self) -> None:
        self._sessions = Sessions()

    async def session(self, requests: Requests[control_pb2.BytesMessage], call: ServerCall) -> None:
        await self._sessions.handle(requests, call)

    async def solve(
        self, request: control_pb2.SolveRequest, context: Context
    ) -> control_pb2.SolveResponse:
        session = await self._sessions.get(request.Session, PATIENCE_S)
        await session.calls.ask(HEALTH_CHECK, Empty(), Empty, timeout_s=PATIENCE_S)
        return control_pb2.SolveResponse(ExporterResponse={"image.name": "x"})

    async def status(
        self, request: control_pb2.StatusRequest, context: Context
    ) -> AsyncIterator[control_pb2.StatusResponse]:
        for number in range(3):
            vertex = control_pb2.Vertex(digest=f"{number}", name="[stage 1/2] FROM x", cached=True)
            vertex.started.GetCurrentTime()
            vertex.completed.GetCurrentTime()
            yield control_pb2.StatusResponse(vertexes=[vertex])

    def server(self) -> Server:
        served = Server()
        served.add_methods(
            "moby.buildkit.v1.Control",
            {
                "Session": grpc.stream_stream_rpc_method_handler(
                    self.session,
                    request_deserializer=control_pb2.BytesMessage.FromString,
                    response_serializer=control_pb2.BytesMessage.SerializeToString,
                ),
                "Solve": grpc.unary_unary_rpc_method_handler(
                    self.solve,
                    request_deserializer=control_pb2.SolveRequest.FromString,
                    response_serializer=control_pb2.SolveResponse.SerializeToString,
                ),
                "Status": grpc.unary_stream_rpc_method_handler(
                    self.status,
                    request_deserializer=control_pb2.StatusRequest.FromString,
                    response_serializer=control_pb2.StatusResponse.SerializeToString,
                ),
            },
        )
        return served
