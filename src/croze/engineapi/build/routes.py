"""`POST /build`: a build by a client that has no BuildKit client of its own, and `/build/cancel`.

Source: Docker Engine API. With `version=2` the context comes through the client's session, and
status messages and the image's id are lines of JSON in the answer; without it, see `classic`.
"""

from __future__ import annotations

import base64
import secrets
from contextlib import AsyncExitStack

from aiohttp import web

from croze.api import control_pb2
from croze.api.attrs import to_attrs
from croze.dockerfile.contexts import CONTEXT
from croze.engineapi.answers import HEADERS
from croze.engineapi.build import classic
from croze.engineapi.build.query import check_session, solve_request
from croze.engineapi.build.solving import context_of, solve
from croze.engineapi.lines import Line, Lines, failed
from croze.engineapi.query import UrlQuery, flag
from croze.engineapi.request_body import RequestBody
from croze.engineapi.services import Services
from croze.engineapi.uploads import PREFIX, REMOTE
from croze.errors import Canceled, CrozeError, InvalidRequest


async def build(request: web.Request, services: Services) -> web.StreamResponse:
    """`POST /build`. The client's going away cancels the build."""
    query = UrlQuery(request.query.items())
    if query.first("version") in ("", "1"):
        return await classic.build(request, query, services)
    if query.first("version") != "2":
        raise InvalidRequest(f"invalid version {query.first('version')}")
    id = query.first("buildid")
    if id.startswith(PREFIX):
        await services.uploads.bring(id.removeprefix(PREFIX), RequestBody(request.content))
        return web.Response(headers=HEADERS)
    check_session(query)
    gateway = services.machine.host_gateway
    solve = solve_request(query, secrets.token_hex(16), host_gateway=gateway)
    async with AsyncExitStack() as stack:
        if query.first("remote") == REMOTE:
            body = await stack.enter_async_context(services.uploads.brought(id))
            url = await stack.enter_async_context(context_of(body, services))
            solve.FrontendAttrs.extend(to_attrs({CONTEXT: url}))
        return await _answered(request, services, solve)


async def _answered(
    request: web.Request, services: Services, solve: control_pb2.SolveRequest
) -> web.StreamResponse:
    lines = Lines(request)
    await lines.begin()
    work = _built(services, solve, lines, quiet=flag(request, "q"))
    if not await services.running.run(request.query.get("buildid", ""), work):
        await lines.write(failed(Canceled()))
    return await lines.end()


async def _built(
    services: Services, message: control_pb2.SolveRequest, lines: Lines, *, quiet: bool
) -> None:
    async def on_status(status: control_pb2.StatusResponse) -> None:
        data = base64.b64encode(status.SerializeToString()).decode("ascii")
        await lines.write({"id": "moby.buildkit.trace", "aux": data})

    try:
        response = await solve(services.channel, message, on_status)
    except CrozeError as error:
        await lines.write(failed(error.wrap("failed to solve")))
        return
    id = response.get("containerimage.digest", "")
    services.events.emit("builder", "build", id)
    await lines.write(*_made(id, quiet=quiet))


def _made(id: str, *, quiet: bool) -> list[Line]:
    """Quiet clients print what they are told to."""
    lines: list[Line] = [{"stream": f"{id}\n"}] if quiet else []
    return [{"id": "moby.image.id", "aux": {"ID": id}}, *lines] if id else []


async def cancel(request: web.Request, services: Services) -> web.StreamResponse:
    """`POST /build/cancel?id=`: cancel the build that was begun with this `buildid`."""
    if not (name := request.query.get("id", "")):
        raise InvalidRequest("build ID not provided")
    services.running.cancel(name)
    return web.Response(status=204, headers=HEADERS)
