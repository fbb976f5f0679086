"""`POST /images/create?fromSrc=`: an image of a tree that comes as a tar, or is at an address.

It is an ordinary build: the tar is unpacked by a copy, and the changes are a Dockerfile on top.
"""

from __future__ import annotations

import secrets
import tarfile
from collections.abc import Mapping
from contextlib import AsyncExitStack

from aiohttp import web

from croze.api import control_pb2, gateway_pb2, ops_pb2
from croze.api.attrs import to_attrs
from croze.dockerfile.contexts import (
    CONTEXT,
    DEFAULT_FILENAME,
    DOCKERFILE,
    FileContexts,
)
from croze.dockerfile.instructions import parse_command
from croze.dockerfile.options import parse_options
from croze.dockerfile.parser import parse
from croze.engineapi.build.bridge_files import BridgeFiles
from croze.engineapi.build.solving import context_of, solve
from croze.engineapi.lines import Lines
from croze.engineapi.query import UrlQuery
from croze.engineapi.request_body import RequestBody
from croze.engineapi.services import Services
from croze.errors import CrozeError, InvalidRequest, Unsupported
from croze.fs.tar.recognize import begins_archive
from croze.image import reference
from croze.llb.fileop import mkfile
from croze.llb.state import scratch
from croze.rpc.held import HeldBuild
from croze.rpc.status import without_code

CHANGES = frozenset(
    {
        *("CMD", "ENTRYPOINT", "ENV", "EXPOSE", "HEALTHCHECK", "LABEL", "ONBUILD", "STOPSIGNAL"),
        *("USER", "VOLUME", "WORKDIR"),
    }
)
BASE = "tree"


async def import_tree(
    request: web.Request, query: UrlQuery, services: Services
) -> web.StreamResponse:
    """`POST /images/create?fromSrc=`: a tar archive, from the request or an address, becomes an
    image of one layer."""
    if query.first("message"):
        raise Unsupported("message= is not served here: images have no message of their own")
    text = dockerfile_of(query.all("changes"))
    name = ""
    if query.first("repo"):
        tag = f":{query.first('tag')}" if query.first("tag") else ""
        name = str(reference.parse(query.first("repo") + tag).tagged())
    lines = Lines(request)
    try:
        id = await _imported(request, query, text, name, services)
    except CrozeError as error:
        return await lines.fail(without_code(error))
    services.events.emit("image", "import", id, {"name": name and reference.familiar(name)})
    await lines.write({"status": id})
    return await lines.end()


def dockerfile_of(changes: list[str]) -> bytes:
    """The Dockerfile that makes these `changes` to an empty image with the tree in it. Raises
    `InvalidRequest` for what can't be changed."""
    for change in changes:
        instructions = parse(change.encode()).ast
        for node in instructions:
            if node.name.upper() not in CHANGES:
                raise InvalidRequest(f"{node.name.lower()} is not a valid change command")
            parse_command(node)
    return "\n".join([f"FROM {BASE}", *changes, ""]).encode()


async def _imported(
    request: web.Request, query: UrlQuery, dockerfile: bytes, name: str, services: Services
) -> str:
    async with AsyncExitStack() as stack:
        if (address := query.first("fromSrc")) == "-":
            body = RequestBody(request.content)
            await _check(body)
            address = await stack.enter_async_context(context_of(body, services))
        elif not address.startswith(("http://", "https://")):
            raise InvalidRequest(f"fromSrc={address}: use - or an address of http")
        message = _solve_request(query, name)

        async def work(bridge: HeldBuild) -> gateway_pb2.Result:
            main = await FileContexts(
                parse_options({CONTEXT: address}), BridgeFiles(bridge, message.Session)
            ).main()
            if main.context is None or main.filename == CONTEXT:
                raise InvalidRequest(f"what is at {address} is no archive")
            _give(message, {BASE: main.context.marshal(), DOCKERFILE: _file(dockerfile)})
            return await bridge.ask_frontend()

        response = await solve(services.channel, message, _nobody, work)
        return response.get("containerimage.digest", "")


async def _check(body: RequestBody) -> None:
    """An archive of nothing, which may be without a byte, is one, too: a build is given one that it
    can tell from a file. Raises `InvalidRequest` for what is none."""
    head = await body.peek()
    if begins_archive(head):
        return
    if head.strip(b"\0"):
        raise InvalidRequest("archive/tar: invalid tar header")
    root = tarfile.TarInfo("./")
    root.type, root.mode = tarfile.DIRTYPE, 0o755
    body.put_before(root.tobuf() + bytes(2 * tarfile.BLOCKSIZE))


def _solve_request(query: UrlQuery, name: str) -> control_pb2.SolveRequest:
    attrs = {f"context:{BASE}": f"input:{BASE}", "platform": query.first("platform")}
    exporter = {"name": name} if name else {}
    return control_pb2.SolveRequest(
        Ref=secrets.token_hex(16),
        Frontend="dockerfile.v0",
        FrontendAttrs=to_attrs({key: value for key, value in attrs.items() if value}),
        Exporters=[control_pb2.Exporter(Type="moby", Attrs=to_attrs(exporter))],
    )


def _file(data: bytes) -> ops_pb2.Definition:
    return scratch().file(mkfile(f"/{DEFAULT_FILENAME}", data)).marshal()


def _give(solve: control_pb2.SolveRequest, inputs: Mapping[str, ops_pb2.Definition]) -> None:
    for name, definition in inputs.items():
        solve.FrontendInputs[name].CopyFrom(definition)


async def _nobody(status: control_pb2.StatusResponse) -> None:
    """Nobody looks on."""
