"""`POST /build?version=2`: a build by a client that has no BuildKit client of its own.

Source: Docker Engine API. The context comes through the client's session; status messages and the
image's id are lines of JSON in the answer.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
from contextlib import suppress

import grpc
import grpc.aio
import msgspec
from aiohttp import web

from croze.api import control_pb2
from croze.api.control_pb2_grpc import ControlStub
from croze.engineapi.answers import HEADERS
from croze.engineapi.build_query import solve_request
from croze.engineapi.contract import Services
from croze.engineapi.query import Query, flag
from croze.grpc_errors import from_rpc_error

STATUS_S = 5.0
"""How long the last of the status may take once a build is over."""


async def build(request: web.Request, services: Services) -> web.StreamResponse:
    """The client's going away cancels the build."""
    wanted = solve_request(Query(request.query.items()), secrets.token_hex(16))
    answer = web.StreamResponse(headers={**HEADERS, "Content-Type": "application/json"})
    await answer.prepare(request)
    channel = services.channel()
    try:
        await _built(channel, wanted, answer, quiet=flag(request, "q"))
    finally:
        await channel.close(None)
    await answer.write_eof()
    return answer


async def _built(
    channel: grpc.aio.Channel,
    wanted: control_pb2.SolveRequest,
    answer: web.StreamResponse,
    *,
    quiet: bool,
) -> None:
    begun = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        following = group.create_task(_follow(channel, wanted.Ref, answer, begun))
        try:
            response = await ControlStub(channel).Solve(wanted)
        except grpc.aio.AioRpcError as raised:
            last = _failed(f"failed to solve: {from_rpc_error(raised)}")
        else:
            id = dict(response.ExporterResponse).get("containerimage.digest", "")
            last = _made(id, quiet=quiet)
        if begun.is_set():
            await asyncio.wait([following], timeout=STATUS_S)
        following.cancel()
    for line in last:
        await _line(answer, line)


def _failed(message: str) -> list[object]:
    return [{"errorDetail": {"message": message}, "error": message}]


def _made(id: str, *, quiet: bool) -> list[object]:
    """Quiet clients print what they are told to."""
    told: list[object] = [{"stream": f"{id}\n"}] if quiet else []
    return [{"id": "moby.image.id", "aux": {"ID": id}}, *told] if id else []


async def _follow(
    channel: grpc.aio.Channel, ref: str, answer: web.StreamResponse, begun: asyncio.Event
) -> None:
    """Pass the status on. Of a build that never was there is none: why, its own call says."""
    with suppress(grpc.aio.AioRpcError):
        async for status in ControlStub(channel).Status(control_pb2.StatusRequest(Ref=ref)):
            begun.set()
            data = base64.b64encode(status.SerializeToString()).decode("ascii")
            await _line(answer, {"id": "moby.buildkit.trace", "aux": data})


async def _line(answer: web.StreamResponse, value: object) -> None:
    await answer.write(msgspec.json.encode(value) + b"\n")
