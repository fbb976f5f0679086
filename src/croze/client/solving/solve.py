"""Carry a plan out: lend a session, send the solve request, follow its status.

Source: BuildKit `client/solve.go`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress

from msgspec import Struct, field
from msgspec.structs import replace

from croze import errors
from croze.aio.parallel import task_group
from croze.aio.threads import in_thread
from croze.api import control_pb2, ops_pb2, policy_pb2
from croze.api.attrs import to_attrs
from croze.api.control_pb2_grpc import ControlStub
from croze.api.detached import DETACHED
from croze.client.layouts.local_caches import finish_caches, prepare_caches
from croze.client.plan import CacheSpec, SolvePlan, ToDocker
from croze.client.solving.auth_log import AuthLog
from croze.client.solving.lending import Lending
from croze.identity import new_id
from croze.rpc.channel import LOST, Channel
from croze.rpc.held import Work, ask_frontend, is_call, solve_held
from croze.rpc.http2.client import DRAINING
from croze.rpc.library import grpc
from croze.rpc.status import from_rpc_error
from croze.session.lent_service import LentService
from croze.session.serve import LentSession, lend

log = logging.getLogger(__name__)

STATUS_IDLE_S = 5.0
"""How long the status may be silent once the solve is over, before it is given up."""

LEAVING_S = 3.0
"""For how long who has cancelled the solve is told what becomes of it: a daemon that it has not
reached waits for it, and one that is busy may tell for as long as that takes."""

PATIENCE_S = 2.0
"""A daemon that knows no such solve after so long has waited for it, which it may do again."""

OnStatus = Callable[[control_pb2.StatusResponse], None]


class PolicySession(Struct, frozen=True):
    """Who is asked about sources, and what the policies want of the build."""

    provider: LentService
    proxy_network: bool = False
    """Steps reach the network by a proxy that the policies are asked about."""


class SolveResult(Struct, frozen=True):
    """What came of a solve; `exporter_response` is what exporters and the frontend answered."""

    ref: str
    exporter_response: dict[str, str] = field(default_factory=dict)


async def solve(
    channel: Channel,
    plan: SolvePlan,
    on_status: OnStatus | None = None,
    *,
    beside_us: bool = False,
    work: Work | None = None,
    policies: PolicySession | None = None,
) -> SolveResult:
    """Lend a session, solve the plan, and follow its status. Cancelling the task cancels the build;
    the last of its status is still reported.

    To a daemon `beside_us` directories are offered by descriptor. With `work` the build is held
    until that has ended. Raises `errors.CrozeError`, worded `failed to solve: …`, with the details
    the daemon gave."""
    ref = plan.ref = plan.ref or new_id()
    if any(isinstance(export.to, ToDocker) for export in plan.exports):
        from croze.client.docker.layers import with_known_layers

        plan = await in_thread(with_known_layers, plan)
    if plan.cache_to or plan.cache_from:
        await in_thread(prepare_caches, plan)
    headers = (*trace_headers(), *((DETACHED,) if plan.detached else ()))
    more = [policies.provider] if policies is not None else []
    id = plan.session_id
    if plan.lending_log is None and on_status is not None:
        plan = replace(plan, lending_log=AuthLog(on_status))
    async with lent(channel, plan, beside_us=beside_us, id=id, more=more) as session:
        request = solve_request(plan, ref, session.id)
        if policies is not None:
            request.SourcePolicySession = session.id
            request.ProxyNetwork |= policies.proxy_network
        response = await _solve_and_follow(channel, request, session, on_status, work, headers)
    await finish_caches(plan, response)
    return SolveResult(ref, response)


@asynccontextmanager
async def lent(
    channel: Channel,
    plan: SolvePlan,
    *,
    beside_us: bool = False,
    id: str = "",
    more: Sequence[LentService] = (),
) -> AsyncIterator[LentSession]:
    """A session that lends what the plan says, and more."""
    lending = Lending(plan, beside_us=beside_us)
    try:
        key = plan.shared_key
        providers = [*lending.providers, *more]
        async with lend(channel, providers, id=id, shared_key=key) as session:
            yield session
    finally:
        lending.close()


async def _solve_and_follow(
    channel: Channel,
    request: control_pb2.SolveRequest,
    session: LentSession,
    on_status: OnStatus | None,
    work: Work | None,
    headers: tuple[tuple[str, str], ...],
) -> dict[str, str]:
    following = _Following(channel, request.Ref, on_status or (lambda _: None))
    if work is None and is_call(request):
        work = ask_frontend
    try:
        async with task_group() as group:
            task = group.create_task(following.run())
            watching = group.create_task(_refusal(session))
            try:
                answer = await _answered(channel, request, work, headers)
            except asyncio.CancelledError:
                with suppress(asyncio.CancelledError, TimeoutError):  # it is known what is raised
                    async with asyncio.timeout(LEAVING_S):
                        await following.wait_idle(task)
                raise
            except BaseException:
                with suppress(asyncio.CancelledError):
                    await following.wait_idle(task)
                raise
            else:
                watching.cancel()  # it was solved without
                await following.wait_idle(task)
            finally:
                task.cancel()
                watching.cancel()
    except grpc.RpcError as error:
        raise _failure(error, session) from None
    if following.failure is not None:
        raise following.failure.wrap("failed to receive status")
    return dict(answer.ExporterResponse)


async def _answered(
    channel: Channel,
    request: control_pb2.SolveRequest,
    work: Work | None,
    headers: tuple[tuple[str, str], ...],
) -> control_pb2.SolveResponse:
    if work is None:
        return await ControlStub(channel).Solve(request, metadata=headers)
    return await solve_held(channel, request, work, headers)


async def _refusal(session: LentSession) -> None:
    """Ends with the session. Raises why, if the daemon has refused it: a solve would wait in vain
    until it comes. One that is lost with the connection, or with the daemon, is told of by the
    solve itself; so is one that is lost on its way alone, if the solve still needs it."""
    await session.wait_closed()
    failure = session.failure
    if failure is not None and not session.was_taken and failure.code not in _LEFT:
        raise failure.wrap("failed to solve")


_LOST = (LOST, DRAINING)
"""How it is said that the other side went away in the middle of a call, or as it was made."""
_LEFT = ("UNAVAILABLE", "CANCELLED")
"""Codes of a session that ends since the daemon leaves, or the client does."""
_WITHOUT_SESSION = ("no active session", "error reading from server: EOF")
"""How a daemon says that the session is not there, or not any more: here it is known why."""


def _failure(error: grpc.RpcError, session: LentSession) -> errors.CrozeError:
    failure = from_rpc_error(error)
    if isinstance(error, grpc.aio.AioRpcError) and error.details() in _LOST:
        message = f"{failure} (lost the connection to the daemon: has it been stopped?)"
        return errors.Unavailable(message).wrap("failed to solve")
    if session.failure is not None and any(text in str(failure) for text in _WITHOUT_SESSION):
        failure = session.failure
    return failure.wrap("failed to solve")


class _Following:
    """The status stream of one solve."""

    def __init__(self, channel: Channel, ref: str, on_status: OnStatus) -> None:
        self._channel = channel
        self._ref = ref
        self._on_status = on_status
        self._activity = asyncio.Event()
        self.failure: errors.CrozeError | None = None

    async def run(self) -> None:
        """Asks again when the daemon has waited in vain for the solve to arrive: both may be too
        busy for that. A daemon that refused the solve answers sooner."""
        loop = asyncio.get_running_loop()
        since_s = loop.time()
        await self._follow()
        while isinstance(self.failure, errors.NotFound) and loop.time() - since_s > PATIENCE_S:
            since_s, self.failure = loop.time(), None
            await self._follow()

    async def _follow(self) -> None:
        call = ControlStub(self._channel).Status(control_pb2.StatusRequest(Ref=self._ref))
        try:
            async for response in call:
                self._activity.set()
                self._on_status(response)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.CANCELLED:
                self.failure = from_rpc_error(error)
        finally:
            call.cancel()

    async def wait_idle(self, task: asyncio.Task[None]) -> None:
        """Wait until the stream of status ends, or nothing has come for a while."""
        while not task.done():
            self._activity.clear()
            done, _ = await asyncio.wait({task}, timeout=STATUS_IDLE_S)
            if not done and not self._activity.is_set():
                return


def trace_headers() -> tuple[tuple[str, str], ...]:
    """What makes the build a part of the trace that `TRACEPARENT` names, as BuildKit's clients do
    (W3C Trace Context)."""
    names = ("TRACEPARENT", "TRACESTATE")
    return tuple((name.lower(), value) for name in names if (value := os.environ.get(name)))


# -- the request -----------------------------------------------------------------------------


def solve_request(plan: SolvePlan, ref: str, session_id: str) -> control_pb2.SolveRequest:
    """A plan as the message that `Solve` takes, in forms that older daemons understand, too."""
    attrs = dict(plan.frontend_attrs)
    if plan.frontend and plan.cache_from:
        entries = [{"Type": entry.type, "Attrs": entry.attrs} for entry in plan.cache_from]
        attrs["cache-imports"] = json.dumps(entries, separators=(",", ":"))
    exporters = [control_pb2.Exporter(Type=e.type, Attrs=to_attrs(e.attrs)) for e in plan.exports]
    request = control_pb2.SolveRequest(
        Ref=ref,
        Exporters=exporters,
        # for daemons from before several exporters could be asked for
        ExporterDeprecated=exporters[0].Type if exporters else "",
        ExporterAttrsDeprecated=exporters[0].Attrs if exporters else [],
        Session=session_id,
        Frontend=plan.frontend,
        FrontendAttrs=to_attrs(attrs),
        FrontendInputs={
            k: ops_pb2.Definition.FromString(v) for k, v in plan.frontend_inputs.items()
        },
        Cache=control_pb2.CacheOptions(
            Exports=[_entry(entry) for entry in plan.cache_to],
            Imports=[_entry(entry) for entry in plan.cache_from],
        ),
        Entitlements=plan.entitlements,
        Internal=plan.internal,
        ProxyNetwork=plan.proxy_network,
    )
    if plan.definition is not None:
        request.Definition.ParseFromString(plan.definition)
    if plan.source_policy:
        request.SourcePolicy.CopyFrom(policy_pb2.Policy.FromString(plan.source_policy))
    return request


def _entry(entry: CacheSpec) -> control_pb2.CacheOptionsEntry:
    return control_pb2.CacheOptionsEntry(Type=entry.type, Attrs=to_attrs(entry.attrs))
