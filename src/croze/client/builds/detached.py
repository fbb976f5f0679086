"""Builds that go on without the terminal, or the client, that began them.

The daemon goes on by itself (`api/builds.proto`). The client that stays behind lends what the build
still reads or writes here, under the session's own id, again whenever the connection was lost.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from msgspec.structs import replace

from croze.api import builds_pb2, control_pb2
from croze.api.builds_pb2_grpc import BuildsStub
from croze.client.builds.build import clearer, history_ref, met
from croze.client.builds.links import check_alone
from croze.client.builds.metadata import clear_files, metadata_provenance, write_files
from croze.client.builds.remote_dockerfile import with_remote_dockerfile
from croze.client.builds.result import BuildResult
from croze.client.layouts.local_caches import finish_caches
from croze.client.plan import SolvePlan, ToFd
from croze.client.planning.builder import BuilderTraits
from croze.client.planning.make import planned
from croze.client.planning.options import BuildOptions
from croze.client.solving.solve import SolveResult, lent
from croze.errors import CrozeError, InvalidRequest, NotFound, Unavailable, Unsupported
from croze.identity import new_id
from croze.rpc.clients import translated
from croze.rpc.library import grpc

if TYPE_CHECKING:
    from croze.client.connect import Client, Dial

PATIENCE_S = 600.0
"""How long a daemon may be out of reach before the client that stayed behind gives up."""
AGAIN_S = 1.0


async def build_detached(
    options: BuildOptions,
    *,
    dial: Dial,
    builder: BuilderTraits | None,
    on_begin: Callable[[str], None],
) -> BuildResult:
    """Build, through losses of the connection; `on_begin` gets the build's ref when the daemon has
    taken it on. Raises `CrozeError`; `Unsupported` from a daemon that can't go on alone."""
    options = replace(options, ref=options.ref or new_id())
    clear_files(options)
    async with dial() as client:
        await _check(client)
        options = await with_remote_dockerfile(client, options, lambda _: None)
        builder = await met(client, builder, options)
    plan = await planned(options, builder)
    try:
        check_alone(plan)
        if any(isinstance(export.to, ToFd) for export in plan.exports):
            raise InvalidRequest("a detached build can't write to standard output")
        holding = _Holding(dial, plan, on_begin)
        solved, provenance = await holding.solved(options)
    finally:
        plan.close()
    known_as = history_ref(builder, plan, solved.ref)
    result = BuildResult(solved.ref, solved.exporter_response, (), known_as)
    write_files(options, result, provenance)
    return result


async def _check(client: Client) -> None:
    try:
        own = (await client.info()).package == "croze"
    except Unsupported:
        own = False
    if not own:
        raise Unsupported("--detach needs a crozed: this daemon ends builds that are left")


class _Holding:
    """One detached build, from the side of the client that stays."""

    def __init__(self, dial: Dial, plan: SolvePlan, on_begin: Callable[[str], None]) -> None:
        self._dial = dial
        self._plan = plan
        self._on_begin = on_begin
        self._begun = False
        plan.detached = True
        plan.session_id = new_id()

    async def solved(self, options: BuildOptions) -> tuple[SolveResult, dict[str, object]]:
        """What came of it, and what a metadata file tells of how."""
        heard_at = time.monotonic()
        while True:
            try:
                async with self._dial() as client:
                    solve = self._rejoin if self._begun else self._begin
                    solved = await solve(client)
                    return solved, await metadata_provenance(client, options, solved.ref)
            except Unavailable:
                if not self._begun or time.monotonic() - heard_at > PATIENCE_S:
                    raise
            await asyncio.sleep(AGAIN_S)

    async def _begin(self, client: Client) -> SolveResult:
        return await client.solve(self._plan, self._heard)

    def _heard(self, _: control_pb2.StatusResponse) -> None:
        if not self._begun:
            self._begun = True
            self._on_begin(self._plan.ref)

    @asynccontextmanager
    async def _lent_again(self, client: Client) -> AsyncIterator[None]:
        plan, more = self._plan, []
        async with AsyncExitStack() as stack:
            if plan.policy is not None:
                from croze.client.policies.enforce import in_force

                policies = await stack.enter_async_context(in_force(client.channel, plan, None))
                more = [policies.provider] if policies is not None else []
            session = lent(client.channel, plan, id=plan.session_id, more=more)
            await stack.enter_async_context(session)
            yield

    async def _rejoin(self, client: Client) -> SolveResult:
        """Lend the session again, and wait."""
        ref = self._plan.ref
        try:
            async with self._lent_again(client):
                with translated():
                    request = builds_pb2.WaitRequest(ref=ref)
                    answer = await BuildsStub(client.channel).Wait(request)
        except Unavailable:
            raise
        except CrozeError as error:
            raise clearer(error.wrap("failed to solve")) from None
        response = dict(answer.exporter_response)
        await finish_caches(self._plan, response)
        return SolveResult(ref, response)


async def cancel(channel: grpc.aio.Channel, ref: str) -> None:
    """End a running build, whoever began it. Raises `NotFound`, and `Unsupported` from a daemon
    that is no crozed."""
    try:
        with translated():
            await BuildsStub(channel).Cancel(builds_pb2.CancelBuildRequest(ref=ref))
    except NotFound:
        raise NotFound(f"no build {ref} is running") from None
