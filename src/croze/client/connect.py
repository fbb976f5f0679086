"""Dial a daemon and make the plain calls of its Control service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING

from croze import errors
from croze.api import control_pb2, worker_pb2
from croze.api.control_pb2_grpc import ControlStub
from croze.client.plan import SolvePlan
from croze.client.solving.solve import SolveResult, lent, solve
from croze.client.unreachable import clearer
from croze.files.peers import has_our_root
from croze.rpc.channel import Channel
from croze.rpc.clients import translated
from croze.rpc.held import Work
from croze.rpc.library import grpc
from croze.rpc.tls import Tls, secure

if TYPE_CHECKING:
    from croze.api.control_pb2_grpc import ControlAsyncStub

Dial = Callable[[], "AbstractAsyncContextManager[Client]"]
"""Opens a connection to one daemon, as a driver or an address has it; closed on exit."""

UsageRecord = control_pb2.UsageRecord
"""A row of `du`, as the daemon sends it."""

LAST_TRY_S = 1.0


def _checked(address: str) -> str:
    """The address, if it is one that daemons have. Raises `InvalidRequest`."""
    if address.startswith(("unix://", "tcp://", "unix-abstract:")):
        return address
    raise errors.InvalidRequest(f"address {address} must be unix:// or tcp://")


@asynccontextmanager
async def connect(
    address: str, tls: Tls | None = None, *, far: bool = False
) -> AsyncIterator[Client]:
    """A client of the daemon at `unix://…` or `tcp://…`. Nothing is sent before the first call;
    a daemon that is not there makes calls fail with `errors.Unavailable`, and one that is not for
    this user with `errors.PermissionDenied`. `far`: the daemon is not the one that listens there,
    but elsewhere, at the other end of what does."""
    safe = None if tls is None else secure(tls)
    async with Channel(_checked(address), safe) as channel:
        try:
            yield Client(channel, "" if far else address)
        except errors.Unavailable as error:
            raise clearer(error, address, far=far) from None


OWN_PACKAGE = "croze"
"""How `crozed` is called in its version."""


class Client:
    """The Control service. All methods raise `errors.CrozeError`."""

    def __init__(self, channel: Channel, address: str = "") -> None:
        self.channel = channel
        self._address = address
        self._is_beside_us: bool | None = None

    async def beside_us(self) -> bool:
        """Whether a process of this user's or root's, below our root, listens there: then the
        daemon may be one that directories can be lent to, by descriptor. As when first asked."""
        if self._is_beside_us is None:
            is_near = self._address.startswith("unix://")
            sock = await self.channel.socket() if is_near else None
            self._is_beside_us = sock is not None and has_our_root(sock)
        return self._is_beside_us

    async def is_crozed(self) -> bool:
        """Whether it is a `crozed`. Others are asked, and so is one from before it said so by
        itself."""
        return await self.channel.of_crozed() or (await self.info()).package == OWN_PACKAGE

    def _stub(self) -> ControlAsyncStub:
        return ControlStub(self.channel)

    async def solve(
        self,
        plan: SolvePlan,
        on_status: Callable[[control_pb2.StatusResponse], None] | None = None,
        *,
        work: Work | None = None,
    ) -> SolveResult:
        """Lend a session, solve, and follow the status. Cancel the task to cancel the build.

        `work` is given what the frontend answers, and the build waits for its end."""
        await self._refuse_lost_mounts(plan)
        beside_us = await self.beside_us()
        if plan.policy is None:
            return await solve(self.channel, plan, on_status, beside_us=beside_us, work=work)
        from croze.client.policies.enforce import in_force
        from croze.client.solving.repeats import Repeats

        repeats = Repeats(on_status or (lambda _: None))
        async with in_force(self.channel, plan, repeats.first) as policies:
            return await solve(
                self.channel,
                plan,
                repeats.second,
                beside_us=beside_us,
                work=work,
                policies=policies,
            )

    async def _refuse_lost_mounts(self, plan: SolvePlan) -> None:
        """Only `crozed` lets cache mounts travel: others pass over that they were asked to."""
        if any("mounts" in entry.attrs for entry in (*plan.cache_to, *plan.cache_from)):
            version = await self.info()
            if version.package != OWN_PACKAGE:
                raise errors.Unsupported(
                    f"this daemon is no crozed but {version.package} {version.version}: cache"
                    " mounts do not travel with its caches (mounts=)"
                )

    @asynccontextmanager
    async def lent(self, id: str, plan: SolvePlan) -> AsyncIterator[None]:
        """Lend what the plan says under a session id, for builds that name it."""
        async with lent(self.channel, plan, beside_us=await self.beside_us(), id=id):
            yield

    async def wait_ready(self, timeout_s: float) -> worker_pb2.BuildkitVersion:
        """The version of the daemon, as soon as it answers. Raises `Unavailable`, with the reason
        if there is one, for a daemon that hasn't in that time."""
        ask = control_pb2.InfoRequest()
        with translated():
            try:
                answer = await self._stub().Info(ask, timeout=timeout_s, wait_for_ready=True)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED:
                    raise
                answer = await self._last_try(timeout_s)
        return answer.buildkitVersion

    async def _last_try(self, waited_s: float) -> control_pb2.InfoResponse:
        """One that fails at once says why."""
        try:
            return await self._stub().Info(control_pb2.InfoRequest(), timeout=LAST_TRY_S)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED:
                raise
            message = f"{self._address}: the daemon has not answered within {waited_s:g} s"
            raise errors.Unavailable(message) from None

    async def info(self) -> worker_pb2.BuildkitVersion:
        """What the daemon says that it is. Raises `Unsupported` for one before BuildKit 0.11."""
        with translated():
            return (await self._stub().Info(control_pb2.InfoRequest())).buildkitVersion

    async def workers(self, filters: Sequence[str] = ()) -> list[worker_pb2.WorkerRecord]:
        """The daemon's workers that pass the filters (containerd's syntax)."""
        request = control_pb2.ListWorkersRequest(filter=filters)
        try:
            with translated():
                answer = await self._stub().ListWorkers(request)
        except errors.InvalidRequest as error:
            raise error.wrap("failed to list workers") from None
        return list(answer.record)

    async def disk_usage(self, filters: Sequence[str] = ()) -> list[control_pb2.UsageRecord]:
        """Records of the cache that pass the filters."""
        try:
            with translated():
                answer = await self._stub().DiskUsage(control_pb2.DiskUsageRequest(filter=filters))
        except errors.InvalidRequest as error:
            raise error.wrap("failed to call diskusage") from None
        return list(answer.record)

    async def prune(
        self,
        filters: Sequence[str] = (),
        *,
        all: bool = False,
        keep_duration_s: float = 0,
        reserved_space: int = 0,
        max_used_space: int = 0,
        min_free_space: int = 0,
    ) -> AsyncIterator[control_pb2.UsageRecord]:
        """What goes, as it goes. Sizes in bytes; 0 means no limit."""
        request = control_pb2.PruneRequest(
            filter=filters,
            all=all,
            keepDuration=int(keep_duration_s * 1e9),
            reservedSpace=reserved_space,
            maxUsedSpace=max_used_space,
            minFreeSpace=min_free_space,
        )
        with translated():
            async for record in self._stub().Prune(request):
                yield record

    async def history(
        self, request: control_pb2.BuildHistoryRequest
    ) -> AsyncIterator[control_pb2.BuildHistoryEvent]:
        """Records of builds as they are, and as they change if `request` asks for that, until the
        daemon or the caller ends it."""
        with translated():
            async for event in self._stub().ListenBuildHistory(request):
                yield event
