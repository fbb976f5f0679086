"""`moby.buildkit.v1.Control`: what buildx, buildctl and `croze` call."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from croze.api import control_pb2, control_pb2_grpc
from croze.api.detached import DETACHED
from croze.daemon.build.status import responses, timestamp
from croze.daemon.engine.engine import Engine
from croze.daemon.engine.opening import BuildServicesOpening
from croze.daemon.worker.record import buildkit_version, fields
from croze.errors import InvalidRequest, UnknownJob
from croze.rpc.call import Requests, ServerCall
from croze.rpc.servers import Context, aborting, unary
from croze.store.contract import PrunePolicy, UsageRecord
from croze.store.filters import parse
from croze.workers.shares import sharing

if TYPE_CHECKING:
    from croze.solver.solver import Job, Solver

CLOCK_HEADER = "buildkit-current-timestamp"
STATUS_PAUSE_S = 0.005
"""Nobody sees sooner than that what has happened; a message costs both sides more than an event."""


class ControlService(control_pb2_grpc.ControlServicer):
    """The `Control` service; everything it needs is in the engine."""

    def __init__(self, engine: Engine, opening: BuildServicesOpening) -> None:
        self._engine = engine
        self._opening = opening

    async def Solve(
        self, request: control_pb2.SolveRequest, context: Context
    ) -> control_pb2.SolveResponse:
        """One build, from its beginning to its end. It ends with its caller, unless it is
        detached."""
        async with aborting(context):
            try:
                response = await self._engine.running.run(
                    request.Ref,
                    lambda: self._build(request),
                    detached=DETACHED in (context.invocation_metadata() or ()),
                )
            except Exception:
                services = await self._opening.build_services()
                services.solver.refuse(request.Ref)  # where it came to no job
                raise
            return control_pb2.SolveResponse(ExporterResponse=response)
        raise AssertionError("aborting always raises")

    async def _build(self, request: control_pb2.SolveRequest) -> dict[str, str]:
        with self._engine.activity.one(), self._engine.builds.one(), sharing(request.Ref):
            services = await self._opening.build_services()
            from croze.daemon.build import build

            response = await build.run(services, request)
        self._engine.gc.nudge()
        return response

    async def Status(
        self, request: control_pb2.StatusRequest, context: Context
    ) -> AsyncIterator[control_pb2.StatusResponse]:
        """What becomes of a build: it may not have begun yet, or be over and on record."""
        async with aborting(context):
            await send_clock(context)
            async for response in self._status(request.Ref):
                yield response

    async def _status(self, ref: str) -> AsyncIterator[control_pb2.StatusResponse]:
        """The status of a build that runs, is about to, or is on record."""
        solver, history = (await self._opening.build_services()).solver, self._engine.history
        record = await history.find(ref) if not solver.has_job(ref) else None
        if record is not None:
            async with aclosing(history.log_of(record)) as log:
                async for response in log:
                    yield response
            return
        job = await self._find_job(solver, ref)
        if job is None:
            return  # Why is the answer of Solve; an error here could overtake it.
        async for batch in job.events(pause_s=STATUS_PAUSE_S):
            for response in responses(batch):
                yield response

    async def _find_job(self, solver: Solver, ref: str) -> Job | None:
        """A Solve that has arrived is waited for as long as it takes to begin: what comes before
        the job takes time on a busy machine."""
        while True:
            try:
                return await solver.find_job(ref)
            except UnknownJob:
                if not self._engine.running.has(ref):
                    raise

    async def Session(  # type: ignore[override]  # answers through `context.write`
        self, request_iterator: Requests[control_pb2.BytesMessage], context: ServerCall
    ) -> None:
        """A client's session: this call carries HTTP/2 in which the client is the server, and lasts
        as long as it lends."""
        async with aborting(context):
            with self._engine.activity.one():
                await self._engine.sessions.handle(request_iterator, context)

    @unary
    async def ListWorkers(
        self, request: control_pb2.ListWorkersRequest, context: Context
    ) -> control_pb2.ListWorkersResponse:
        matches, worker = parse(tuple(request.filter)), self._engine.worker.record()
        matching = [worker] if matches(fields(worker)) else []
        return control_pb2.ListWorkersResponse(record=matching)

    @unary
    async def Info(
        self, request: control_pb2.InfoRequest, context: Context
    ) -> control_pb2.InfoResponse:
        return control_pb2.InfoResponse(buildkitVersion=buildkit_version())

    @unary
    async def DiskUsage(
        self, request: control_pb2.DiskUsageRequest, context: Context
    ) -> control_pb2.DiskUsageResponse:
        check_filters("diskusage", request.filter)
        records = await self._engine.store.refs.disk_usage(
            tuple(request.filter), unused_s=request.ageLimit / 1e9
        )
        return control_pb2.DiskUsageResponse(record=[usage(record) for record in records])

    async def Prune(
        self, request: control_pb2.PruneRequest, context: Context
    ) -> AsyncIterator[control_pb2.UsageRecord]:
        """What was removed, as it is. Cache keys that lead to it go last."""
        async with aborting(context):
            check_filters("prune", request.filter)
            await self._engine.history.settled()  # builds hold more than their records do
            async for record in self._engine.store.refs.prune([prune_policy(request)]):
                yield usage(record)
            await self._opening.forget_lost()

    async def ListenBuildHistory(
        self, request: control_pb2.BuildHistoryRequest, context: Context
    ) -> AsyncIterator[control_pb2.BuildHistoryEvent]:
        async with aborting(context):
            await send_clock(context)
            async for event in self._engine.history.listen(request):
                yield event

    @unary
    async def UpdateBuildHistory(
        self, request: control_pb2.UpdateBuildHistoryRequest, context: Context
    ) -> control_pb2.UpdateBuildHistoryResponse:
        history = self._engine.history
        if request.Delete:
            await history.delete(request.Ref)
        elif request.Finalize:
            await history.finalize(request.Ref)
        else:
            await history.update(request.Ref, lambda r: setattr(r, "pinned", request.Pinned))
        return control_pb2.UpdateBuildHistoryResponse()


def check_filters(what: str, filters: Sequence[str]) -> None:
    """See that filters can be read. Raises `InvalidRequest` in BuildKit's words."""
    try:
        parse(filters)
    except InvalidRequest as error:
        raise error.wrap(f"failed to parse {what} filters [{' '.join(filters)}]") from None


async def send_clock(context: Context) -> None:
    """Send the daemon's time with the answer, for clients that show how long something has been
    running."""
    now = datetime.now(UTC).isoformat(timespec="microseconds")
    await context.send_initial_metadata(((CLOCK_HEADER, now),))


def prune_policy(request: control_pb2.PruneRequest) -> PrunePolicy:
    """The policy of a `PruneRequest`, in which durations are in nanoseconds."""
    return PrunePolicy(
        filters=tuple(request.filter),
        all=request.all,
        keep_duration_s=request.keepDuration / 1e9,
        reserved_space=request.reservedSpace,
        max_used_space=request.maxUsedSpace,
        min_free_space=request.minFreeSpace,
    )


def usage(record: UsageRecord) -> control_pb2.UsageRecord:
    """One row of `du`."""
    return control_pb2.UsageRecord(
        ID=record.id,
        Mutable=record.mutable,
        InUse=record.in_use,
        Size=record.size,
        Parents=record.parents,
        CreatedAt=timestamp(record.created_at),
        LastUsedAt=timestamp(record.last_used_at),
        UsageCount=record.usage_count,
        Description=record.description,
        RecordType=record.record_type,
    )
