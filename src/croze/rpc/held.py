"""A build of which a part is done here: to build others on its result, or to read its files.

The daemon keeps such a build, and the session with it, until this side returns the result. Source
of the calls and their order: BuildKit `client/build.go` and `frontend/gateway/grpcclient`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from croze import errors
from croze.aio.parallel import all_of, meanwhile
from croze.api import control_pb2, gateway_pb2, ops_pb2
from croze.api.control_pb2_grpc import ControlStub
from croze.api.gateway_pb2_grpc import LLBBridgeStub
from croze.rpc.clients import translated
from croze.rpc.library import grpc
from croze.rpc.status import to_status

if TYPE_CHECKING:
    from croze.api.gateway_pb2_grpc import LLBBridgeAsyncStub

_CALL = b"requestid"
_BUILD_ID = "buildkit-controlapi-buildid"


class HeldBuild:
    """What the daemon does for the client's part of one build. Raises `errors.CrozeError`."""

    def __init__(self, channel: grpc.aio.Channel, request: control_pb2.SolveRequest) -> None:
        self._request = request
        self.stub: LLBBridgeAsyncStub = LLBBridgeStub(channel)
        self.metadata = ((_BUILD_ID, request.Ref),)
        """Names the build in each call of the stub."""

    async def ask_frontend(self) -> gateway_pb2.Result:
        """What the build's own frontend answers to its attributes; nothing is done for it yet."""
        request = self._request
        ask = gateway_pb2.SolveRequest(
            Frontend=request.Frontend,
            FrontendOpt=request.FrontendAttrs,
            FrontendInputs=request.FrontendInputs,
            CacheImports=[
                gateway_pb2.CacheOptionsEntry(Type=each.Type, Attrs=each.Attrs)
                for each in request.Cache.Imports
            ],
        )
        return await self._solve(ask)

    async def solve(
        self, definition: ops_pb2.Definition, *, evaluate: bool = True
    ) -> gateway_pb2.Result:
        """The result of a definition. It is solved now with `evaluate`, else when it is needed."""
        return await self._solve(gateway_pb2.SolveRequest(Definition=definition, Evaluate=evaluate))

    async def evaluate(self, result: gateway_pb2.Result) -> None:
        """Solve all refs of a result. Raises the first failure."""
        refs = [result.ref] if result.WhichOneof("result") == "ref" else result.refs.refs.values()
        await all_of(self.evaluate_ref(ref.id) for ref in refs if ref.id)

    async def evaluate_ref(self, ref: str) -> None:
        """Solve a ref, unless that has been done."""
        ask = gateway_pb2.EvaluateRequest(Ref=ref)
        try:
            with translated():
                await self.stub.Evaluate(ask, metadata=self.metadata)
        except errors.Unsupported:  # a BuildKit of before 2022
            await self.size(ref, ".")

    async def _solve(self, ask: gateway_pb2.SolveRequest) -> gateway_pb2.Result:
        ask.allowResultReturn = True
        ask.allowResultArrayRef = True
        with translated():
            return (await self.stub.Solve(ask, metadata=self.metadata)).result

    async def resolve_source(
        self, request: gateway_pb2.ResolveSourceMetaRequest
    ) -> gateway_pb2.ResolveSourceMetaResponse:
        """What the daemon knows of a source."""
        with translated():
            return await self.stub.ResolveSourceMeta(request, metadata=self.metadata)

    async def capabilities(self) -> frozenset[str]:
        """What the daemon's LLB may hold (`solver/pb/caps.go`)."""
        with translated():
            answer = await self.stub.Ping(gateway_pb2.PingRequest(), metadata=self.metadata)
        return frozenset(each.ID for each in answer.LLBCaps if each.Enabled)

    async def size(self, ref: str, path: str) -> int:
        """The size of a file of a result, in bytes."""
        ask = gateway_pb2.StatFileRequest(Ref=ref, Path=path.encode())
        with translated():
            return (await self.stub.StatFile(ask, metadata=self.metadata)).stat.size

    async def read(self, ref: str, path: str, length: int = 0) -> bytes:
        """A file, or its first bytes."""
        ask = gateway_pb2.ReadFileRequest(Ref=ref, FilePath=path.encode())
        if length:
            ask.Range.Length = length
        with translated():
            return (await self.stub.ReadFile(ask, metadata=self.metadata)).Data

    async def end(self, ending: gateway_pb2.ReturnRequest) -> None:
        """Say what the client's part came to: a result or an error. The build goes on with it."""
        with translated():
            await self.stub.Return(ending, metadata=self.metadata)


Work = Callable[[HeldBuild], Awaitable[gateway_pb2.Result]]
"""The client's part of a build; the build ends, and exports what it gives, when this has ended."""


def is_call(request: control_pb2.SolveRequest) -> bool:
    """Whether the request asks the frontend for an answer (a subrequest), not for a build."""
    return any(attr.key == _CALL for attr in request.FrontendAttrs)


async def ask_frontend(bridge: HeldBuild) -> gateway_pb2.Result:
    """The whole of a build whose result is what its frontend answers."""
    return await bridge.ask_frontend()


async def solve_held(
    channel: grpc.aio.Channel,
    request: control_pb2.SolveRequest,
    work: Work,
    metadata: tuple[tuple[str, str], ...],
) -> control_pb2.SolveResponse:
    """Call Control's `Solve`, and have `work` done on the build while the daemon holds it. Raises
    what either of them does. What a frontend says that was called is in the response, where
    daemons put little of it."""
    ending = gateway_pb2.ReturnRequest()
    async with meanwhile() as beside:
        beside.begin(_drive(HeldBuild(channel, request), work, ending))
        answer = await ControlStub(channel).Solve(_without_frontend(request), metadata=metadata)
    if is_call(request):
        for key, value in ending.result.metadata.items():
            answer.ExporterResponse[key] = value.decode("utf-8", "replace")
    return answer


def _without_frontend(request: control_pb2.SolveRequest) -> control_pb2.SolveRequest:
    own = control_pb2.SolveRequest()
    own.CopyFrom(request)
    own.Frontend = ""
    own.ClearField("FrontendInputs")
    return own


async def _drive(bridge: HeldBuild, work: Work, ending: gateway_pb2.ReturnRequest) -> None:
    try:
        ending.result.CopyFrom(await work(bridge))
    except errors.CrozeError as error:
        ending.error.CopyFrom(to_status(error, plain=True))
    with contextlib.suppress(errors.CrozeError):
        await bridge.end(ending)  # if the build has failed, Control's Solve tells why
