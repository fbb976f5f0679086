"""`POST /build` as before BuildKit: the context in the request's body, or at an address; what goes
on is told as the classic builder told it (`steps`). It is an ordinary build of the one engine: the
body is an upload that the build pulls, as it comes, and the Dockerfile is read from it on the way.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack

from aiohttp import web

from croze.aio.threads import in_thread
from croze.api import control_pb2, gateway_pb2, ops_pb2
from croze.api.attrs import of_attrs, to_attrs
from croze.dockerfile.contexts import (
    CONTEXT,
    DEFAULT_FILENAME,
    DOCKERFILE,
    IGNORE_FILENAME,
    FileContexts,
)
from croze.dockerfile.options import parse_options
from croze.engineapi.build.bridge_files import BridgeFiles, ref_of
from croze.engineapi.build.query import solve_request
from croze.engineapi.build.solving import context_of, solve
from croze.engineapi.build.steps import StepLines, steps_of
from croze.engineapi.lines import Line, Lines
from croze.engineapi.logins import GivenLogins, config_of
from croze.engineapi.query import UrlQuery
from croze.engineapi.request_body import RequestBody
from croze.engineapi.services import Services
from croze.errors import Canceled, CrozeError, InvalidRequest, NotFound
from croze.fs.match.ignore import read_ignore_file
from croze.fs.match.patterns import PatternMatcher
from croze.fs.tar.recognize import begins_archive
from croze.image import reference
from croze.llb.fileop import CopyOptions, copy
from croze.llb.state import State, scratch
from croze.rpc.held import HeldBuild
from croze.rpc.status import without_code
from croze.session.serve import lend


async def build(request: web.Request, query: UrlQuery, services: Services) -> web.StreamResponse:
    """A build as before BuildKit. What fails before there is anything to tell is answered with a
    status."""
    lines = Lines(request, quiet=query.is_set("q"))
    local = {record.name for record in services.images.list()}
    solve = solve_request(query, secrets.token_hex(16), local, services.machine.host_gateway)
    one = _Classic(request, query, services, lines)
    try:
        if await services.running.run(query.first("buildid"), one.run(solve)):
            return await lines.end()
        return await lines.fail(Canceled())
    except CrozeError as error:
        return await lines.fail(without_code(one.failure or error))


class _Classic:
    """One build."""

    def __init__(
        self, request: web.Request, query: UrlQuery, services: Services, lines: Lines
    ) -> None:
        self._request = request
        self._query = query
        self._services = services
        self._lines = lines
        self.failure: CrozeError | None = None
        """What was wrong already here."""
        self._telling: StepLines | None = None
        self._early: list[control_pb2.StatusResponse] = []

    async def run(self, request: control_pb2.SolveRequest) -> None:
        body = RequestBody(self._request.content)
        attrs = of_attrs(request.FrontendAttrs)
        if not self._query.first("remote"):
            check_archive(await body.peek(), attrs.get("filename", DEFAULT_FILENAME))
        attrs[CONTEXT] = self._query.first("remote") or body.url
        _set_attrs(request, attrs)
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(context_of(body, self._services))
            channel = self._services.channel
            logins = GivenLogins(config_of(self._request))
            session = await stack.enter_async_context(lend(channel, [logins]))
            request.Session = session.id

            async def work(bridge: HeldBuild) -> gateway_pb2.Result:
                try:
                    await self._begin(bridge, attrs, request)
                except CrozeError as error:
                    self.failure = _in_classic_words(error, attrs)
                    raise
                return await bridge.ask_frontend()

            response = await solve(channel, request, self._on_status, work)
        await self._lines.tell(*(self._telling.end() if self._telling else ()))
        id = response.get("containerimage.digest", "")
        self._services.events.emit("builder", "build", id)
        await self._lines.write(*_made(id, self._query.all("t"), quiet=self._query.is_set("q")))

    async def _begin(
        self, bridge: HeldBuild, attrs: Mapping[str, str], solve: control_pb2.SolveRequest
    ) -> None:
        """Read the Dockerfile before the frontend does."""
        contexts = FileContexts(parse_options(attrs), BridgeFiles(bridge, solve.Session))
        source = await contexts.read_dockerfile()
        main = await contexts.main()
        target = attrs.get("target", "")
        labels = [f"{k.removeprefix('label:')}={v}" for k, v in attrs.items() if "label:" in k]
        steps = await in_thread(steps_of, source.data, target, labels)
        self._telling = StepLines(steps, rm=self._query.is_set("rm"))
        if main.context is not None and main.filename != CONTEXT:
            hidden = await _hidden(bridge, main.context, main.filename)
            if hidden:
                _use(solve, _inputs(main.context, hidden), attrs)
        for status in self._early:
            await self._lines.tell(*self._telling.feed(status))

    async def _on_status(self, status: control_pb2.StatusResponse) -> None:
        if self._telling is None:
            self._early.append(status)
        else:
            await self._lines.tell(*self._telling.feed(status))


def check_archive(head: bytes, dockerfile: str) -> None:
    """See that a body which begins like this is an archive, and has something in it. Raises
    `InvalidRequest`."""
    if not head.strip(b"\0"):
        raise InvalidRequest(f"Cannot locate specified Dockerfile: {dockerfile}")
    if not begins_archive(head):
        raise InvalidRequest("archive/tar: invalid tar header")


def _in_classic_words(error: CrozeError, attrs: Mapping[str, str]) -> CrozeError:
    if not isinstance(error, NotFound) or "failed to read dockerfile" not in str(error):
        return error
    name = attrs.get("filename", DEFAULT_FILENAME)
    if str(error).endswith(f": open {name}: no such file or directory"):
        return InvalidRequest(f"Cannot locate specified Dockerfile: {name}")
    # The context could not be unpacked: the archive is at fault.
    return InvalidRequest(str(error).replace("failed to read dockerfile", "failed to unpack"))


def _made(id: str, names: Sequence[str], *, quiet: bool) -> list[Line]:
    if not id:
        return []
    aux: Line = {"aux": {"ID": id}}
    if quiet:
        return [aux, {"stream": f"{id}\n"}]
    tagged = [f"Successfully tagged {reference.parse(n).tagged().familiar()}\n" for n in names]
    built = f"Successfully built {id.partition(':')[2][:12]}\n"
    lines: list[Line] = [{"stream": text} for text in (built, *tagged)]
    return [aux, *lines]


async def _hidden(bridge: HeldBuild, context: State, filename: str) -> list[str]:
    """The Dockerfile and the ignore file, if the latter says so: what a client must send, and does
    not want in its images."""
    ref = ref_of(await bridge.solve(context.marshal()))
    try:
        patterns = PatternMatcher(read_ignore_file(await bridge.read(ref, IGNORE_FILENAME)))
    except NotFound:
        return []
    return [name for name in (IGNORE_FILENAME, filename) if patterns.matches_or_parent(name)]


def _inputs(context: State, hidden: Sequence[str]) -> Mapping[str, ops_pb2.Definition]:
    options = CopyOptions(dir_contents=True, exclude=tuple(hidden))
    without = scratch().file(copy(context, "/", "/", options))
    return {CONTEXT: without.marshal(), DOCKERFILE: context.marshal()}


def _use(
    solve: control_pb2.SolveRequest,
    inputs: Mapping[str, ops_pb2.Definition],
    attrs: Mapping[str, str],
) -> None:
    """Put these inputs in place of the context's address."""
    _set_attrs(solve, {key: value for key, value in attrs.items() if key != CONTEXT})
    for name, definition in inputs.items():
        solve.FrontendInputs[name].CopyFrom(definition)


def _set_attrs(solve: control_pb2.SolveRequest, attrs: Mapping[str, str]) -> None:
    del solve.FrontendAttrs[:]
    solve.FrontendAttrs.extend(to_attrs(attrs))
