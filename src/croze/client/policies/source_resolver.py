"""What a daemon knows of sources, asked in a build of its own that the first question begins.

Source: buildx `util/sourcemeta`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from croze import llb
from croze.aio.parallel import task_group
from croze.api import gateway_pb2, ops_pb2
from croze.errors import Canceled, CrozeError
from croze.rpc.held import HeldBuild, Work

Start = Callable[[Work], Awaitable[object]]
"""Runs a build of which the work is a part."""


class SourceResolver:
    """Asks a daemon about sources; made by `source_resolver`."""

    def __init__(self, group: asyncio.TaskGroup, start: Start) -> None:
        self._group = group
        self._start = start
        self._ready: asyncio.Future[HeldBuild] | None = None
        self._over = asyncio.Event()

    async def resolve(
        self, request: gateway_pb2.ResolveSourceMetaRequest
    ) -> gateway_pb2.ResolveSourceMetaResponse:
        """What the daemon knows of the request's source. Raises `CrozeError`."""
        return await (await self._bridge()).resolve_source(request)

    async def capabilities(self) -> frozenset[str]:
        """Ids of what the daemon can do for an LLB definition."""
        return await (await self._bridge()).capabilities()

    async def fetch(self, url: str, filename: str, name: str, accept: str = "") -> bytes:
        """A file from the web, fetched by the daemon in a step of that name."""
        state = llb.http(url, filename=filename, accept=accept, name=name)
        bridge = await self._bridge()
        result = await bridge.solve(state.marshal())
        return await bridge.read(result.ref.id, filename)

    async def files(self, definition: ops_pb2.Definition) -> ResultFiles:
        """The files that a definition makes."""
        bridge = await self._bridge()
        result = await bridge.solve(definition)
        return ResultFiles(bridge, result.ref.id)

    async def _bridge(self) -> HeldBuild:
        if self._ready is None:
            self._ready = asyncio.get_running_loop().create_future()
            self._group.create_task(self._run(self._ready))
        return await asyncio.shield(self._ready)

    async def _run(self, ready: asyncio.Future[HeldBuild]) -> None:
        async def work(bridge: HeldBuild) -> gateway_pb2.Result:
            ready.set_result(bridge)
            await self._over.wait()
            raise Canceled("all questions have been answered")

        try:
            await self._start(work)
        except CrozeError as error:
            if not ready.done():
                ready.set_exception(error)

    def close(self) -> None:
        """End the build that was begun for the questions, if one was."""
        self._over.set()


class ResultFiles:
    """Files of a result, for as long as its build is held."""

    def __init__(self, bridge: HeldBuild, ref: str) -> None:
        self._bridge, self._ref = bridge, ref

    async def size(self, path: str) -> int:
        """The size of a file, in bytes. Raises `CrozeError`."""
        return await self._bridge.size(self._ref, path)

    async def read(self, path: str) -> bytes:
        """A whole file. Raises `CrozeError`."""
        return await self._bridge.read(self._ref, path)


@asynccontextmanager
async def source_resolver(start: Start) -> AsyncIterator[SourceResolver]:
    """A `SourceResolver`. Its build, if one was begun, ends with the block."""
    async with task_group() as group:
        resolver = SourceResolver(group, start)
        try:
            yield resolver
        finally:
            resolver.close()
