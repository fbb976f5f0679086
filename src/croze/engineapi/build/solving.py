"""A build of the daemon's, asked for and followed over its own gRPC server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from croze.aio.threads import finish
from croze.api import control_pb2
from croze.api.control_pb2_grpc import ControlStub
from croze.engineapi.request_body import RequestBody
from croze.engineapi.services import Services
from croze.errors import CrozeError
from croze.rpc.held import Work, solve_held
from croze.rpc.library import grpc
from croze.rpc.status import from_rpc_error
from croze.sources.http import DESCRIPTION

STATUS_S = 5.0
"""How long the last of the status may take once a build is over."""

OnStatus = Callable[[control_pb2.StatusResponse], Awaitable[None]]


async def solve(
    channel: grpc.aio.Channel,
    solve_request: control_pb2.SolveRequest,
    on_status: OnStatus,
    work: Work | None = None,
) -> dict[str, str]:
    """Run a build, and return the exporters' answer. Cancelling it cancels the build. Raises
    `CrozeError`; all of the status was delivered by then."""
    begun = asyncio.Event()
    failed: CrozeError | None = None
    response: dict[str, str] = {}
    async with asyncio.TaskGroup() as group:
        following = group.create_task(_follow(channel, solve_request.Ref, on_status, begun))
        try:
            if work is None:
                answer = await ControlStub(channel).Solve(solve_request)
            else:
                answer = await solve_held(channel, solve_request, work, ())
            response = dict(answer.ExporterResponse)
        except grpc.aio.AioRpcError as raised:
            failed = from_rpc_error(raised)
        if begun.is_set():
            await asyncio.wait([following], timeout=STATUS_S)
        following.cancel()
    if failed is not None:
        raise failed
    return response


async def _follow(
    channel: grpc.aio.Channel, ref: str, on_status: OnStatus, begun: asyncio.Event
) -> None:
    """Pass the status on. Of a build that never was there is none: why, its own call says."""
    with suppress(grpc.aio.AioRpcError):
        async for status in ControlStub(channel).Status(control_pb2.StatusRequest(Ref=ref)):
            begun.set()
            await on_status(status)


@asynccontextmanager
async def context_of(body: RequestBody, services: Services) -> AsyncIterator[str]:
    """An address that stands for a request's body as the context of a build. It will not come again
    by this name, so nothing of it is kept."""
    with services.sessions.uploading(body.url, body.pieces()):
        try:
            yield body.url
        finally:
            await finish(_forget(body.url, services))


async def _forget(url: str, services: Services) -> None:
    prune = control_pb2.PruneRequest(all=True, filter=[f'description=="{DESCRIPTION}{url}"'])
    with suppress(grpc.aio.AioRpcError):
        async for _ in ControlStub(services.channel).Prune(prune):
            pass
