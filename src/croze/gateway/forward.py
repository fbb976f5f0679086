"""`moby.buildkit.v1.frontend.LLBBridge` beside Control: calls are forwarded to the running build
that their metadata names."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

from croze.api import gateway_pb2, gateway_pb2_grpc, ops_pb2
from croze.errors import CrozeError, InvalidRequest, UnknownJob
from croze.gateway.contract import Bridge
from croze.gateway.execs import ExecCall
from croze.gateway.serve import ServedBuild
from croze.rpc.servers import Context, aborting
from croze.workers.shares import sharing

BUILD_ID_KEY = "buildkit-controlapi-buildid"

FindBuild = Callable[[Context], Awaitable[ServedBuild]]
"""The build that a call belongs to; raises where there is none."""


class GatewayForwarder:
    """The builds that have their frontend in the client, by build id."""

    def __init__(self, *, wait_s: float = 3.0) -> None:
        """`wait_s`: how long a call waits for its build to begin; the two arrive in any order."""
        self._wait_s = wait_s
        self._builds: dict[str, ServedBuild] = {}
        self._open = 0
        self._left = asyncio.Event()
        self._arrived = asyncio.Event()

    def servicer(self) -> gateway_pb2_grpc.LLBBridgeServicer:
        return BridgeService(lambda context: self.find(build_id(context)))

    @asynccontextmanager
    async def serving(
        self, build_id: str, bridge: Bridge, inputs: Mapping[str, ops_pb2.Definition]
    ) -> AsyncIterator[ServedBuild]:
        """Serve `bridge` to the client while inside; `result()` of what is yielded waits for the
        client to finish."""
        served = self._builds[build_id] = ServedBuild(bridge, inputs)
        self._arrived.set()
        self._open += 1
        try:
            yield served
        finally:
            del self._builds[build_id]
            try:
                await served.close()
            finally:
                self._open -= 1
                self._left.set()

    async def wait_idle(self) -> None:
        """Wait until all builds have given back what they hold. For the end of the daemon, after
        its calls were cancelled."""
        while self._open:
            self._left.clear()
            await self._left.wait()

    async def find(self, build_id: str) -> ServedBuild:
        """The build of that id, waited for a little. Raises `UnknownJob` when there is none by
        then."""
        try:
            async with asyncio.timeout(self._wait_s):
                while build_id not in self._builds:
                    self._arrived.clear()
                    await self._arrived.wait()
        except TimeoutError:
            raise UnknownJob(f"no such job {build_id}") from None
        return self._builds[build_id]


class BridgeService(gateway_pb2_grpc.LLBBridgeServicer):
    """Serves the gateway's methods: each call is led to the bridge of its build, and errors name
    the call."""

    def __init__(self, find: FindBuild) -> None:
        self._find = find

    async def Ping(
        self, request: gateway_pb2.PingRequest, context: Context
    ) -> gateway_pb2.PongResponse:
        async with self._build(context, "Ping") as build:
            return build.ping()

    async def Inputs(
        self, request: gateway_pb2.InputsRequest, context: Context
    ) -> gateway_pb2.InputsResponse:
        async with self._build(context, "Inputs") as build:
            return build.inputs()

    async def Solve(
        self, request: gateway_pb2.SolveRequest, context: Context
    ) -> gateway_pb2.SolveResponse:
        async with self._build(context, "Solve") as build:
            return await build.solve(request)

    async def Evaluate(
        self, request: gateway_pb2.EvaluateRequest, context: Context
    ) -> gateway_pb2.EvaluateResponse:
        async with self._build(context, "Evaluate") as build:
            return await build.evaluate(request)

    async def ReadFile(
        self, request: gateway_pb2.ReadFileRequest, context: Context
    ) -> gateway_pb2.ReadFileResponse:
        async with self._build(context, "ReadFile") as build:
            return await build.read_file(request)

    async def ReadDir(
        self, request: gateway_pb2.ReadDirRequest, context: Context
    ) -> gateway_pb2.ReadDirResponse:
        async with self._build(context, "ReadDir") as build:
            return await build.read_dir(request)

    async def StatFile(
        self, request: gateway_pb2.StatFileRequest, context: Context
    ) -> gateway_pb2.StatFileResponse:
        async with self._build(context, "StatFile") as build:
            return await build.stat_file(request)

    async def ResolveImageConfig(
        self, request: gateway_pb2.ResolveImageConfigRequest, context: Context
    ) -> gateway_pb2.ResolveImageConfigResponse:
        async with self._build(context, "ResolveImageConfig") as build:
            return await build.resolve_image_config(request)

    async def ResolveSourceMeta(
        self, request: gateway_pb2.ResolveSourceMetaRequest, context: Context
    ) -> gateway_pb2.ResolveSourceMetaResponse:
        async with self._build(context, "ResolveSourceMeta") as build:
            return await build.resolve_source_meta(request)

    async def Warn(
        self, request: gateway_pb2.WarnRequest, context: Context
    ) -> gateway_pb2.WarnResponse:
        async with self._build(context, "Warn") as build:
            return build.warn(request)

    async def Return(
        self, request: gateway_pb2.ReturnRequest, context: Context
    ) -> gateway_pb2.ReturnResponse:
        async with self._build(context, "Return") as build:
            return build.give_back(request)

    async def NewContainer(
        self, request: gateway_pb2.NewContainerRequest, context: Context
    ) -> gateway_pb2.NewContainerResponse:
        async with self._build(context, "NewContainer") as build:
            return await build.new_container(request)

    async def ReleaseContainer(
        self, request: gateway_pb2.ReleaseContainerRequest, context: Context
    ) -> gateway_pb2.ReleaseContainerResponse:
        async with self._build(context, "ReleaseContainer") as build:
            await build.containers.release(request.ContainerID)
            return gateway_pb2.ReleaseContainerResponse()

    async def ExecProcess(  # type: ignore[override]  # answers through `context.write`
        self, request_iterator: AsyncIterator[gateway_pb2.ExecMessage], context: Context
    ) -> None:
        async with self._build(context, "ExecProcess") as build:
            await ExecCall(build.containers).serve(request_iterator, context.write)

    async def ReadFileContainer(
        self, request: gateway_pb2.ReadFileRequest, context: Context
    ) -> gateway_pb2.ReadFileResponse:
        async with self._build(context, "ReadFileContainer") as build:
            return gateway_pb2.ReadFileResponse(Data=await build.containers.read_file(request))

    async def ReadDirContainer(
        self, request: gateway_pb2.ReadDirRequest, context: Context
    ) -> gateway_pb2.ReadDirResponse:
        async with self._build(context, "ReadDirContainer") as build:
            return gateway_pb2.ReadDirResponse(entries=await build.containers.read_dir(request))

    async def StatFileContainer(
        self, request: gateway_pb2.StatFileRequest, context: Context
    ) -> gateway_pb2.StatFileResponse:
        async with self._build(context, "StatFileContainer") as build:
            return gateway_pb2.StatFileResponse(stat=await build.containers.stat_file(request))

    @asynccontextmanager
    async def _build(self, context: Context, method: str) -> AsyncIterator[ServedBuild]:
        """The call's build, whose work is done inside and whose errors end the call."""
        async with aborting(context):
            try:
                build = await self._find(context)
            except CrozeError as err:
                raise err.wrap(f"forwarding {method}") from None
            with sharing(build.share):
                yield build


def build_id(context: Context) -> str:
    """The id of the build that a call belongs to, by its metadata. Raises `InvalidRequest` where
    there is none."""
    pairs = dict(context.invocation_metadata() or ())
    value = pairs.get(BUILD_ID_KEY, "")
    if not value:
        raise InvalidRequest("no buildid found in context")
    return value if isinstance(value, str) else value.decode()
