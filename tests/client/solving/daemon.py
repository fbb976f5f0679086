"""A daemon of a few lines, which solves as a test says, over real gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import grpc

from croze import errors
from croze.api import control_pb2, worker_pb2
from croze.rpc.call import Requests, ServerCall
from croze.rpc.server import Server
from croze.rpc.servers import Context, aborting
from croze.session.contract import Session
from croze.session.manager import Sessions
from tests.progress.statuses import vertex
from tests.rpc.served import served

Work = Callable[[Session, control_pb2.SolveRequest], Awaitable[dict[str, str]]]


class Daemon:
    """A Control service whose solves do what a test says."""

    def __init__(self, path: Path) -> None:
        self.address = f"unix://{path}"
        self.sessions = Sessions()
        self.requests: list[control_pb2.SolveRequest] = []
        self.work: Work = self.nothing
        self.asked = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.late = 0  # so often the status is asked for before the solve has arrived
        self.is_talkative = False
        """The status does not end with the solve."""
        self.solved: dict[str, asyncio.Event] = {}
        self._path = path
        self._server = Server()
        self._server.add_methods("moby.buildkit.v1.Control", self._methods())
        self._stack = AsyncExitStack()

    def _methods(self) -> dict[str, grpc.RpcMethodHandler[object, object]]:
        wire = control_pb2
        return {
            "Solve": grpc.unary_unary_rpc_method_handler(
                self._solve,
                request_deserializer=wire.SolveRequest.FromString,
                response_serializer=wire.SolveResponse.SerializeToString,
            ),
            "Status": grpc.unary_stream_rpc_method_handler(
                self._status,
                request_deserializer=wire.StatusRequest.FromString,
                response_serializer=wire.StatusResponse.SerializeToString,
            ),
            "Session": grpc.stream_stream_rpc_method_handler(
                self._session,
                request_deserializer=wire.BytesMessage.FromString,
                response_serializer=wire.BytesMessage.SerializeToString,
            ),
            "Info": grpc.unary_unary_rpc_method_handler(
                self._info,
                request_deserializer=wire.InfoRequest.FromString,
                response_serializer=wire.InfoResponse.SerializeToString,
            ),
            "Prune": grpc.unary_stream_rpc_method_handler(
                self._prune,
                request_deserializer=wire.PruneRequest.FromString,
                response_serializer=wire.UsageRecord.SerializeToString,
            ),
        }

    async def nothing(self, session: Session, request: object) -> dict[str, str]:
        return {}

    def _event(self, ref: str) -> asyncio.Event:
        return self.solved.setdefault(ref, asyncio.Event())

    async def _solve(
        self, request: control_pb2.SolveRequest, context: Context
    ) -> control_pb2.SolveResponse:
        self.requests.append(request)
        try:
            async with aborting(context, plain=True):
                session = await self.sessions.get(request.Session)
                response = await self.work(session, request)
                return control_pb2.SolveResponse(ExporterResponse=response)
            raise AssertionError("aborting always raises")
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        finally:
            self._event(request.Ref).set()

    async def _status(self, request: control_pb2.StatusRequest, context: Context) -> None:
        if self.late:
            self.late -= 1
            async with aborting(context):
                raise errors.UnknownJob(f"no such job {request.Ref}")
        await context.write(vertex("a", "step", 0))
        while self.is_talkative:
            await asyncio.sleep(0.01)
            await context.write(vertex("a", "step", 0))
        await self._event(request.Ref).wait()
        await context.write(vertex("a", "step", 0, 1))

    async def _session(
        self, incoming: Requests[control_pb2.BytesMessage], context: ServerCall
    ) -> None:
        async with aborting(context):
            await self.sessions.handle(incoming, context)

    async def _info(self, request: object, context: Context) -> control_pb2.InfoResponse:
        version = worker_pb2.BuildkitVersion(version="v9")
        return control_pb2.InfoResponse(buildkitVersion=version)

    async def _prune(self, request: control_pb2.PruneRequest, context: Context) -> None:
        assert request.keepDuration == 2_000_000_000
        for id in ("a", "b"):
            await context.write(control_pb2.UsageRecord(ID=id, Size=1))

    async def __aenter__(self) -> Daemon:
        await self._stack.enter_async_context(served(self._server, self._path))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()
