"""A build whose frontend is called from here, so that others can be built on what it answers.

The daemon keeps such a build, and the session with it, until this side returns the result. Source
of the calls and their order: BuildKit `client/build.go` and `frontend/gateway/grpcclient`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import grpc
import grpc.aio

from croze import errors
from croze.api import control_pb2, gateway_pb2
from croze.api.control_pb2_grpc import ControlStub
from croze.api.gateway_pb2_grpc import LLBBridgeStub
from croze.grpc_errors import status_of

OnResult = Callable[[gateway_pb2.Result], Awaitable[None]]
"""Given what the frontend answered; the build ends, and exports, when this has."""

_BUILD_ID = "buildkit-controlapi-buildid"


async def solve_held(
    channel: grpc.aio.Channel,
    request: control_pb2.SolveRequest,
    on_result: OnResult,
    metadata: tuple[tuple[str, str], ...],
) -> control_pb2.SolveResponse:
    """Like Control's Solve. Raises what that raises."""
    failed: BaseException | None = None
    answer = control_pb2.SolveResponse()
    async with asyncio.TaskGroup() as group:
        driving = group.create_task(_drive(channel, request, on_result))
        try:
            answer = await ControlStub(channel).Solve(_without_frontend(request), metadata=metadata)
        except BaseException as error:  # raised below: not to come out as a group
            failed = error
        driving.cancel()
    if failed is not None:
        raise failed
    return answer


def _without_frontend(request: control_pb2.SolveRequest) -> control_pb2.SolveRequest:
    own = control_pb2.SolveRequest()
    own.CopyFrom(request)
    own.Frontend = ""
    own.ClearField("FrontendInputs")
    return own


async def _drive(
    channel: grpc.aio.Channel, request: control_pb2.SolveRequest, on_result: OnResult
) -> None:
    bridge = LLBBridgeStub(channel)
    metadata = ((_BUILD_ID, request.Ref),)
    ask = gateway_pb2.SolveRequest(
        Frontend=request.Frontend,
        FrontendOpt=request.FrontendAttrs,
        FrontendInputs=request.FrontendInputs,
        CacheImports=[
            gateway_pb2.CacheOptionsEntry(Type=each.Type, Attrs=each.Attrs)
            for each in request.Cache.Imports
        ],
        allowResultReturn=True,
        allowResultArrayRef=True,
        Evaluate=True,
    )
    ending = gateway_pb2.ReturnRequest()
    try:
        answer = await bridge.Solve(ask, metadata=metadata)
        await on_result(answer.result)
        ending.result.CopyFrom(answer.result)
    except grpc.aio.AioRpcError as error:
        ending.error.CopyFrom(status_of(error))
    try:
        await bridge.Return(ending, metadata=metadata)
    except grpc.aio.AioRpcError:
        return  # the build itself has failed: Control's Solve tells why


def inputs_of(
    name: str, result: gateway_pb2.Result, attrs: list[str]
) -> tuple[dict[str, str], dict[str, bytes]]:
    """The attributes and inputs with which a build uses the result of the target `name` as the
    contexts that `attrs` name (`context:NAME`)."""
    import base64
    import json

    refs = {f"::{platform}": ref for platform, ref in sorted(result.refs.refs.items())}
    if result.WhichOneof("result") == "ref":
        refs = {"": result.ref}
    if not refs:
        raise errors.InvalidRequest(f"target {name} has no result to build on")
    found: dict[str, str] = {}
    inputs: dict[str, bytes] = {}
    for suffix, ref in refs.items():
        key = f"{name}{suffix}"
        inputs[key] = getattr(ref, "def").SerializeToString()
        found.update({f"{attr}{suffix}": f"input:{key}" for attr in attrs})
        config = f"containerimage.config{suffix.replace('::', '/')}"
        if config in result.metadata:
            value = base64.b64encode(result.metadata[config]).decode()
            found[f"input-metadata:{key}"] = json.dumps({"containerimage.config": value})
    return found, inputs
