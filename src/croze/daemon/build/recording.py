"""What of a build goes into the history, and when."""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import msgspec
from msgspec import Struct

from croze.aio.threads import finish, in_thread_if_many
from croze.api import control_pb2
from croze.api.attr_pb2 import Attr
from croze.api.attrs import of_attrs, to_attrs
from croze.daemon.build import failure
from croze.daemon.build.status import responses
from croze.daemon.telemetry.telemetry import Telemetry
from croze.errors import CrozeError
from croze.export.attestations import PAYLOAD_TYPE, PREDICATE_TYPE
from croze.files.redact import redact_attrs
from croze.gotypes import gojson
from croze.history import logs
from croze.history.blobs import RecordBlobs
from croze.history.history import BuildHistory, Finalizer, FinishedBuild
from croze.image.descriptor import Descriptor
from croze.rpc.status import RpcStatus
from croze.solver.solver import Job
from croze.status import StatusEvent
from croze.store.blobs import DiskBlobStore
from croze.store.contract import Lease
from croze.telemetry import stubs
from croze.telemetry.build import TRACE, BuildTrace
from croze.telemetry.machine import MachineUsage
from croze.telemetry.spans import CURRENT, root

log = logging.getLogger(__name__)

TRACE_DELAY_S = 3.0
_DESCRIPTOR_KEY = "containerimage.descriptor"


class _Attested(Struct, frozen=True):
    """What is to be told of one result."""

    key: str
    kind: str
    predicate: Callable[[], Awaitable[bytes]]
    single: bool


class Recording:
    """One build's record while the build runs."""

    def __init__(
        self,
        history: BuildHistory,
        telemetry: Telemetry,
        request: control_pb2.SolveRequest,
        lease: Lease,
    ) -> None:
        self._history = history
        self._lease = lease
        self._telemetry = telemetry
        self._trace = BuildTrace(CURRENT.get() or root())
        self._record = started_record(request)
        self._job: Job | None = None
        self._error: RpcStatus | None = None
        self._events: list[StatusEvent] = []
        self._hidden = request.Internal
        self._attested: list[_Attested] = []
        self.usage = MachineUsage(telemetry.samples)
        """What the machine does, while the build runs."""

    def begin(self, job: Job) -> None:
        """Note that the build is on its way, as this job."""
        self._job = job
        self.usage.start()
        job.set_value(TRACE, self._trace)
        if not self._hidden:
            self._telemetry.traces.want(self._trace.parent.trace_id)
            self._record.CreatedAt.FromDatetime(datetime.now(UTC))
            self._history.start(self._record)

    def result(self, metadata: Mapping[str, bytes], answers: Sequence[Mapping[str, str]]) -> None:
        """Note what the frontend said of its result, and each exporter of what it made."""
        for key, value in metadata.items():
            self._record.ExporterResponse[key] = value.decode("utf-8", "replace")
        for number, answer in enumerate(answers):
            if _DESCRIPTOR_KEY in answer:
                descriptor = gojson.unmarshal(
                    base64.b64decode(answer[_DESCRIPTOR_KEY]), type=Descriptor
                )
                self._add_result(number, descriptor_message(descriptor))

    def attest(
        self, key: str, kind: str, statement: Callable[[], Awaitable[bytes]], *, single: bool
    ) -> None:
        """An attestation of one result, by its key; made when the build is over."""
        if not self._hidden:
            self._attested.append(_Attested(key, kind, statement, single))

    async def _add_attestations(self, blobs: RecordBlobs) -> None:
        for each in self._attested:
            try:
                data = msgspec.json.format(await each.predicate(), indent=2)
            except CrozeError as error:
                log.warning("no provenance in the record of %s: %s", self._record.Ref, error)
                continue
            statement = await blobs.add((data,), PAYLOAD_TYPE)
            statement.annotations[PREDICATE_TYPE] = each.kind
            record = self._record
            result = record.Result if each.single else record.Results[each.key]
            result.Attestations.append(statement)

    def _add_result(self, number: int, descriptor: control_pb2.Descriptor) -> None:
        self._lease.hold(descriptor.digest)
        result = self._record.Result
        result.Results[number].CopyFrom(descriptor)
        if not result.HasField("ResultDeprecated"):
            result.ResultDeprecated.CopyFrom(descriptor)

    async def end(self, error: BaseException | None) -> None:
        """Note that the build is over, and with what error. Raises what keeps it from being
        recorded, unless it has failed anyway."""
        self.usage.stop()
        if self._job is None or self._hidden:
            return
        self._record.CompletedAt.FromDatetime(datetime.now(UTC))
        if error is not None:
            self._error = failure.recorded(error)
        try:
            await self._history.finish(self._record.Ref, self._complete(self._job))
        except Exception as failed:
            self._telemetry.traces.take(self._trace.parent.trace_id)
            if error is None:
                raise
            unforeseen = not isinstance(failed, CrozeError | OSError)
            ref = self._record.Ref
            log.warning("build %s could not be recorded: %s", ref, failed, exc_info=unforeseen)
        else:
            self._history.finalize_later(self._record.Ref, self._add_trace)
        self._job = None  # a large build's takes megabytes, for as long as clients have to say
        self._attested.clear()

    async def _complete(self, job: Job) -> FinishedBuild:
        record, blobs = self._record, RecordBlobs(self._history.store.blobs, self._lease)
        record.logs.CopyFrom(await self._write_log(job, blobs))
        await self._add_attestations(blobs)
        if self._error is not None:
            data = self._error.SerializeToString()
            record.externalError.CopyFrom(await blobs.add((data,), failure.MEDIA_TYPE))
            record.error.code, record.error.message = self._error.code, self._error.message
        self._telemetry.builds.finished(record)
        return FinishedBuild(record, blobs.inline)

    async def _write_log(self, job: Job, blobs: RecordBlobs) -> control_pb2.Descriptor:
        count = logs.StepCount()
        async for batch in job.events():
            self._events += batch
        packed = logs.packed(responses(self._events), count)
        descriptor = await blobs.add(packed, logs.MEDIA_TYPE)
        count.write_to(self._record)
        return descriptor

    async def _add_own_spans(self) -> None:
        """Hand over what is known of the build. All that is kept of it from here on is bytes."""
        events, self._events = self._events, []
        self._telemetry.traces.add(await in_thread_if_many(len(events), self._trace.spans, events))

    async def _add_trace(self, finalizer: Finalizer) -> None:
        """Clients send the last of their spans when they know that the build is done."""
        await self._history.lull.wait()
        await self._add_own_spans()
        try:
            async with asyncio.timeout(TRACE_DELAY_S):
                await finalizer.wanted.wait()
        except TimeoutError:
            pass
        await self._history.settled()
        spans = self._telemetry.traces.take(self._trace.parent.trace_id)
        data = await in_thread_if_many(len(spans), lambda: b"".join(stubs.lines(spans)))
        async with self._history.store.leases.lease():
            trace = await put(self._history.store.blobs, data, stubs.MEDIA_TYPE)
            await self._history.update(self._record.Ref, lambda r: r.trace.CopyFrom(trace))


@asynccontextmanager
async def recording(
    history: BuildHistory, telemetry: Telemetry, request: control_pb2.SolveRequest
) -> AsyncIterator[Recording]:
    """Record the build that runs inside, however it ends, from its `begin` on. Stands around the
    job: the log is complete when that is gone. The record is written before this ends, as
    BuildKit's is: who was told what came of a build may pull the plug. Raises what keeps it from
    being written, but for a build that has failed. The blobs that the build uses are leased until
    its record holds those that it names."""
    async with history.store.leases.lease() as lease:
        record = Recording(history, telemetry, request, lease)
        try:
            yield record
        except BaseException as error:
            await finish(record.end(error))
            raise
        await finish(record.end(None))


def started_record(request: control_pb2.SolveRequest) -> control_pb2.BuildHistoryRecord:
    """The record of a build before it starts: what its request says."""
    exporters = [control_pb2.Exporter(Type=e.Type, Attrs=_safe(e.Attrs)) for e in request.Exporters]
    if not exporters and request.ExporterDeprecated:
        kind, attrs = request.ExporterDeprecated, request.ExporterAttrsDeprecated
        exporters = [control_pb2.Exporter(Type=kind, Attrs=_safe(attrs))]
    return control_pb2.BuildHistoryRecord(
        Ref=request.Ref,
        Frontend=request.Frontend,
        FrontendAttrs=_safe(request.FrontendAttrs),
        Exporters=exporters,
    )


def _safe(attrs: Sequence[Attr]) -> list[Attr]:
    """Records are kept, and shown to whoever may use the daemon."""
    return to_attrs(redact_attrs(of_attrs(attrs)))


async def put(blobs: DiskBlobStore, data: bytes, media_type: str) -> control_pb2.Descriptor:
    """Keep some bytes that a record names."""
    digest = await blobs.put(data)
    return control_pb2.Descriptor(digest=digest, size=len(data), media_type=media_type)


def descriptor_message(descriptor: Descriptor) -> control_pb2.Descriptor:
    """A descriptor as records have it."""
    return control_pb2.Descriptor(
        digest=descriptor.digest,
        size=descriptor.size,
        media_type=descriptor.media_type,
        annotations=descriptor.annotations,
    )
