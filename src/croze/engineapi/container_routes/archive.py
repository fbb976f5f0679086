"""`/containers/NAME/archive` and `/export`: files out of containers and into them (`docker cp`).

Source: Docker Engine API, "Get an archive of a filesystem resource in a container".
"""

from __future__ import annotations

import base64
import logging

import msgspec
from aiohttp import web

from croze.aio.parallel import all_of
from croze.engineapi.answers import HEADERS
from croze.engineapi.containers import spec as specs
from croze.engineapi.containers.container import OneContainer
from croze.engineapi.query import UrlQuery
from croze.engineapi.request_body import RequestBody
from croze.engineapi.services import Services
from croze.engineapi.times import rfc3339
from croze.errors import CrozeError, InvalidRequest, NotFound
from croze.runtime.inroot import Bind, PathStat, RootedRequest
from croze.runtime.reach import Reaching

log = logging.getLogger(__name__)

STAT = "X-Docker-Container-Path-Stat"


def _asked(request: web.Request, services: Services) -> tuple[OneContainer, str]:
    one = services.containers.find(request.match_info["name"])
    path = request.query.get("path", "")
    if not path:
        raise InvalidRequest("bad parameter: 'path' cannot be empty")
    if "\0" in path:
        raise InvalidRequest("bad parameter: 'path' has a zero byte")
    return one, path


def _request(one: OneContainer, path: str) -> RootedRequest:
    """A request as for `stat`; `root` is known later."""
    binds = [
        Bind(mount.mounts[0].source, mount.dest, mount.readonly) for mount in specs.binds(one.spec)
    ]
    readonly = one.spec.host_config.readonly_rootfs
    return RootedRequest(op="stat", root="", binds=binds, path=path, readonly_root=readonly)


def _headers(status: PathStat) -> dict[str, str]:
    about = {
        "name": status.name,
        "size": status.size,
        "mode": status.mode,
        "mtime": rfc3339(status.mtime_ns),
        "linkTarget": status.link_target,
    }
    return {STAT: base64.b64encode(msgspec.json.encode(about)).decode("ascii")}


async def _found(reached: Reaching, path: str, name: str) -> PathStat:
    try:
        status = await reached.outcome()
    except NotFound as error:
        raise missing(path, name) from error
    assert status is not None
    return status


def missing(path: str, name: str) -> NotFound:
    return NotFound(f"Could not find the file {path} in container {name}")


async def head(request: web.Request, services: Services) -> web.StreamResponse:
    """`HEAD /containers/NAME/archive`: what there is at a path, in a header."""
    one, path = _asked(request, services)
    async with services.containers.reaching(one, _request(one, path)) as reached:
        status = await _found(reached, path, request.match_info["name"])
    return web.Response(headers={**HEADERS, **_headers(status)})


async def get(request: web.Request, services: Services) -> web.StreamResponse:
    one, path = _asked(request, services)
    rooted = msgspec.structs.replace(_request(one, path), op="get")
    async with services.containers.reaching(one, rooted) as reached:
        status = await _found(reached, path, request.match_info["name"])
        services.containers.tell(one, "archive-path")
        return await _sent(
            request, reached, {**_headers(status), "Content-Type": "application/x-tar"}
        )


async def _sent(
    request: web.Request, reached: Reaching, headers: dict[str, str]
) -> web.StreamResponse:
    answer = web.StreamResponse(headers={**HEADERS, **headers})
    await answer.prepare(request)
    try:
        async for data in reached.pieces():
            await answer.write(data)
        await answer.write_eof()
    except CrozeError as error:  # the client sees that it was not all
        log.warning("%s: %s", request.path, error)
        if request.transport is not None:
            request.transport.abort()
    return answer


async def export(request: web.Request, services: Services) -> web.StreamResponse:
    """`GET /containers/NAME/export`: all files of a container, without those of its mounts."""
    one = services.containers.find(request.match_info["name"])
    rooted = msgspec.structs.replace(_request(one, "/"), op="export", binds=[])
    async with services.containers.reaching(one, rooted) as reached:
        await _found(reached, "/", one.id)
        services.containers.tell(one, "export")
        return await _sent(request, reached, {"Content-Type": "application/octet-stream"})


async def put(request: web.Request, services: Services) -> web.StreamResponse:
    """`PUT /containers/NAME/archive`: the body is an archive, compressed or not, for the directory
    at `path`."""
    one, path = _asked(request, services)
    query = UrlQuery(request.query.items())
    rooted = msgspec.structs.replace(
        _request(one, path),
        op="put",
        keep_kinds=query.is_set("noOverwriteDirNonDir"),
        owner=one.user if query.is_set("copyUIDGID") else None,
    )
    async with services.containers.reaching(one, rooted) as reached:
        try:
            await _fed(reached, RequestBody(request.content))
        except NotFound as error:
            raise missing(path, request.match_info["name"]) from error
    services.containers.tell(one, "extract-to-dir")
    return web.Response(headers=HEADERS)


async def _fed(reached: Reaching, body: RequestBody) -> None:
    """Pass the body on. Raises what was wrong as soon as it is known, whatever the client still
    sends."""
    await body.peek()
    await all_of([reached.feed(body.pieces()), _heard(reached)])


async def _heard(reached: Reaching) -> None:
    await reached.outcome()
