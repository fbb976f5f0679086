"""A daemon that answers with whatever a test says, for the real CLI."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import grpc.aio
from google.protobuf.message import Message

from croze.api import content_pb2, control_pb2, worker_pb2
from croze.rpc.call import Requests, ServerCall
from croze.rpc.server import Server
from croze.rpc.servers import Context, aborting
from croze.session.contract import Session
from croze.session.manager import Sessions
from tests.e2e.sandbox import COMMAND_TIMEOUT_S, CROZE, Done, Sandbox
from tests.rpc.served import served

CONTROL = "moby.buildkit.v1.Control"
CONTENT = "containerd.services.content.v1.Content"
Work = Callable[[Session, control_pb2.SolveRequest], Awaitable[Mapping[str, str]]]


async def _nothing(session: Session, request: control_pb2.SolveRequest) -> Mapping[str, str]:
    return {}


class Liar:
    """What the daemon says: `said` by the method's path, each message that is answered with; blobs
    by the digest that is asked for; and what it does while it solves."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.said: dict[str, Sequence[Message]] = {}
        self.blobs: dict[str, bytes] = {}
        self.work: Work = _nothing
        self.status: Sequence[control_pb2.StatusResponse] = ()
        self._failed: Exception | None = None
        self._sessions = Sessions()
        self._server = Server()
        self._solved = asyncio.Event()
        version = worker_pb2.BuildkitVersion(package="liar", version="v9")
        self.say(f"{CONTROL}/Info", control_pb2.InfoResponse(buildkitVersion=version))
        worker = worker_pb2.WorkerRecord(ID="w")
        worker.platforms.add(OS="linux", Architecture="amd64")
        self.say(f"{CONTROL}/ListWorkers", control_pb2.ListWorkersResponse(record=[worker]))
        self.say(f"{CONTROL}/UpdateBuildHistory", control_pb2.UpdateBuildHistoryResponse())
        for name in ("Info", "ListWorkers", "DiskUsage", "UpdateBuildHistory"):
            self._serve(CONTROL, name)
        for name in ("Prune", "ListenBuildHistory"):
            self._serve(CONTROL, name, many=True)
        self._serve("croze.v1.Why", "Explain")
        self._serve("croze.v1.Engine", "ListImages")
        self._server.add_methods(CONTROL, self._building())
        self._server.add_methods(CONTENT, self._reading())

    def say(self, method: str, *answers: Message) -> None:
        """From now on a method is answered with these."""
        self.said[method] = answers

    def _building(self) -> dict[str, grpc.RpcMethodHandler[object, object]]:
        wire = control_pb2
        return {
            "Solve": grpc.unary_unary_rpc_method_handler(
                self._solve, wire.SolveRequest.FromString, _data
            ),
            "Status": grpc.unary_stream_rpc_method_handler(self._status, bytes, _data),
            "Session": grpc.stream_stream_rpc_method_handler(
                self._session, wire.BytesMessage.FromString, _data
            ),
        }

    def _reading(self) -> dict[str, grpc.RpcMethodHandler[object, object]]:
        wire = content_pb2
        return {
            "Read": grpc.unary_stream_rpc_method_handler(
                self._read, wire.ReadContentRequest.FromString, _data
            ),
            "Info": grpc.unary_unary_rpc_method_handler(
                self._info, wire.InfoRequest.FromString, _data
            ),
        }

    def _serve(self, service: str, name: str, *, many: bool = False) -> None:
        path = f"{service}/{name}"

        async def one(request: bytes, context: Context) -> Message:
            return self.said[path][0]

        async def all_of_them(request: bytes, context: Context) -> None:
            for each in self.said[path]:
                await context.write(each)

        if many:
            handler = grpc.unary_stream_rpc_method_handler(all_of_them, bytes, _data)
        else:
            handler = grpc.unary_unary_rpc_method_handler(one, bytes, _data)
        self._server.add_methods(service, {name: handler})

    async def _solve(
        self, request: control_pb2.SolveRequest, context: Context
    ) -> control_pb2.SolveResponse:
        try:
            async with aborting(context):
                session = await self._sessions.get(request.Session)
                response = await self._worked(session, request)
                return control_pb2.SolveResponse(ExporterResponse=dict(response))
            raise AssertionError("aborting always raises")
        finally:
            self._solved.set()

    async def _worked(
        self, session: Session, request: control_pb2.SolveRequest
    ) -> Mapping[str, str]:
        try:
            return await self.work(session, request)
        except Exception as error:
            self._failed = error
            raise

    async def _status(self, request: bytes, context: Context) -> None:
        for each in self.status:
            await context.write(each)
        await self._solved.wait()

    async def _session(
        self, incoming: Requests[control_pb2.BytesMessage], context: ServerCall
    ) -> None:
        async with aborting(context):
            await self._sessions.handle(incoming, context)

    async def _read(self, request: content_pb2.ReadContentRequest, context: Context) -> None:
        data = self.blobs.get(request.digest, b"")
        await context.write(content_pb2.ReadContentResponse(data=data))

    async def _info(
        self, request: content_pb2.InfoRequest, context: Context
    ) -> content_pb2.InfoResponse:
        size = len(self.blobs.get(request.digest, b""))
        return content_pb2.InfoResponse(info=content_pb2.Info(digest=request.digest, size=size))

    async def croze(self, *words: str | Path, cwd: Path | None = None) -> Done:
        """What the real CLI makes of it. Raises what `work` has, in the end."""
        self._failed = None
        self._solved.clear()
        process = await asyncio.create_subprocess_exec(
            *(CROZE, "--builder", self.address, *words),
            env=self.sandbox.env,
            cwd=cwd,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(COMMAND_TIMEOUT_S):
                out, err = await process.communicate()
        except BaseException:
            process.kill()
            await process.wait()
            raise
        if self._failed is not None:
            raise self._failed
        code = process.returncode
        assert code is not None
        return Done(code, os.fsdecode(out), os.fsdecode(err))

    @property
    def address(self) -> str:
        return f"unix://{self.sandbox.path}/liar.sock"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with served(self._server, self.sandbox.path / "liar.sock"):
            yield


def _data(message: Message) -> bytes:
    return message.SerializeToString()
