"""Records of past builds, asked of a daemon.

Source: docker/buildx `commands/history/utils.go` for references, filters and their words.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError
from msgspec import Struct

from croze.api import content_pb2, control_pb2
from croze.api.content_pb2_grpc import ContentStub
from croze.api.control_pb2_grpc import ControlStub
from croze.errors import CrozeError, InvalidRequest, NotFound, Unavailable
from croze.gotypes.duration import DurationError, parse_duration
from croze.gotypes.numbers import parse_int
from croze.gotypes.quote import quote
from croze.rpc.clients import translated
from croze.rpc.status import from_status
from croze.rpc.status import status as rpc_status

if TYPE_CHECKING:
    import grpc.aio

LIMIT = 50
SMALL_BYTES = 64 * 1024 * 1024
CLOCK_HEADER = "buildkit-current-timestamp"
_VALUE_KEYS = ("ref", "repository", "status")
_TIME_KEYS = ("startedAt", "completedAt", "duration")
_SIGNS = ("!=", "=", "<=", "<", ">=", ">")

Record = control_pb2.BuildHistoryRecord


class RecordList(Struct, frozen=True):
    """Records, the newest first, and the daemon's clock, by which running builds are timed."""

    records: Sequence[Record]
    now_s: float = 0


async def records(
    channel: grpc.aio.Channel,
    ref: str = "",
    filters: Sequence[str] = (),
    *,
    limit: int = LIMIT,
    completed: bool = False,
) -> RecordList:
    """The records of a reference, or all (0: without a limit) that match. Raises `CrozeError`."""
    request = control_pb2.BuildHistoryRequest(
        Ref=ref, EarlyExit=True, Limit=limit, Filter=_line(filters)
    )
    listed: list[Record] = []
    with translated():
        call = ControlStub(channel).ListenBuildHistory(request)
        now = _clock(await call.initial_metadata())
        async for event in call:
            running = event.type != control_pb2.COMPLETE
            gone = event.type == control_pb2.DELETED or not event.HasField("record")
            if not gone and not (completed and running):
                listed.append(event.record)
    listed.sort(key=created_s, reverse=True)
    return RecordList(listed, now)


async def one(channel: grpc.aio.Channel, ref: str) -> tuple[Record, float]:
    """The record of a reference, of `^2` (the last but two) or, empty, the last; and the daemon's
    clock. Raises `NotFound` and `InvalidRequest`."""
    if not ref.startswith("^"):
        listed = await records(channel, ref)
        if not listed.records:
            raise NotFound(f"no record found for ref {quote(ref)}" if ref else "no records found")
        return listed.records[0], listed.now_s
    offset = offset_of(ref)
    listed = await records(channel)
    if not 0 <= offset < len(listed.records):
        remaining_offset = offset - len(listed.records)
        raise NotFound(
            f"no completed build found with offset {remaining_offset}"
            if remaining_offset > 0
            else "no records found"
        )
    return listed.records[offset], listed.now_s


def offset_of(ref: str) -> int:
    """How many builds came after the one that `^2` means. Raises `InvalidRequest`."""
    try:
        return parse_int(ref.removeprefix("^"), call="Atoi")
    except InvalidRequest as error:
        raise error.wrap(f"invalid offset {quote(ref)}") from None


async def completed(channel: grpc.aio.Channel, ref: str) -> Record:
    """The record of a build, when that has ended. Raises `NotFound` for one that is not there, or
    goes meanwhile, and `Unavailable` when the daemon stops first."""
    await one(channel, ref)
    with translated():
        async for event in ControlStub(channel).ListenBuildHistory(
            control_pb2.BuildHistoryRequest(Ref=ref)
        ):
            if event.type == control_pb2.DELETED:
                raise NotFound(f"no record found for ref {quote(ref)}")
            if event.type == control_pb2.COMPLETE:
                return event.record
    raise Unavailable("the daemon stopped before the build was over")


async def error_of(channel: grpc.aio.Channel, record: Record) -> CrozeError | None:
    """Why a build failed, with all its details; None if it didn't."""
    if not record.HasField("error") and not record.HasField("externalError"):
        return None
    outcome = rpc_status(record.error.code, record.error.message)
    if record.HasField("externalError"):
        digest = record.externalError.digest
        try:
            outcome.ParseFromString(await small_blob(channel, digest))
        except DecodeError as error:
            raise CrozeError(f"failed to unmarshal external error {digest}: {error}") from None
    return from_status(outcome)


async def events(
    channel: grpc.aio.Channel, ref: str = "", *, follow: bool = False, active_only: bool = False
) -> AsyncGenerator[control_pb2.BuildHistoryEvent, None]:
    """The records there are, and with `follow` what happens to them from now on. Raises
    `CrozeError`."""
    request = control_pb2.BuildHistoryRequest(Ref=ref, EarlyExit=not follow, ActiveOnly=active_only)
    with translated():
        async for event in ControlStub(channel).ListenBuildHistory(request):
            yield event


async def pin(channel: grpc.aio.Channel, ref: str, *, pinned: bool) -> None:
    """Have a record stay when others go, or no longer. Raises `NotFound`."""
    with translated():
        request = control_pb2.UpdateBuildHistoryRequest(Ref=ref, Pinned=pinned)
        await ControlStub(channel).UpdateBuildHistory(request)


async def delete(channel: grpc.aio.Channel, ref: str) -> None:
    """Remove a record from the daemon's history. Raises `NotFound`."""
    with translated():
        request = control_pb2.UpdateBuildHistoryRequest(Ref=ref, Delete=True)
        await ControlStub(channel).UpdateBuildHistory(request)


async def finalize(channel: grpc.aio.Channel, ref: str) -> None:
    """Have the record made as complete as it gets: with its trace."""
    with translated():
        request = control_pb2.UpdateBuildHistoryRequest(Ref=ref, Finalize=True)
        await ControlStub(channel).UpdateBuildHistory(request)


async def status(channel: grpc.aio.Channel, ref: str) -> AsyncIterator[control_pb2.StatusResponse]:
    """All that a build said, and what it says from now on if it runs."""
    with translated():
        async for response in ControlStub(channel).Status(control_pb2.StatusRequest(Ref=ref)):
            yield response


async def blob(channel: grpc.aio.Channel, digest: str) -> AsyncIterator[bytes]:
    """A blob of the daemon's records and their attachments, part by part. Raises `NotFound`."""
    with translated():
        async for part in ContentStub(channel).Read(content_pb2.ReadContentRequest(digest=digest)):
            yield part.data


async def small_blob(channel: grpc.aio.Channel, digest: str) -> bytes:
    """A blob whole. Raises `CrozeError`, for one that is too large to be small, too."""
    data = bytearray()
    async for part in blob(channel, digest):
        data += part
        if len(data) > SMALL_BYTES:
            raise CrozeError(f"blob {digest} is larger than {SMALL_BYTES} bytes")
    return bytes(data)


def created_s(record: Record) -> float:
    """When the build began, in seconds since 1970."""
    return record.CreatedAt.seconds + record.CreatedAt.nanos / 1e9


def duration_s(record: Record, now_s: float) -> float:
    """The seconds that a build took, or has been running."""
    end = record.CompletedAt
    stop = end.seconds + end.nanos / 1e9 if record.HasField("CompletedAt") else now_s
    return max(0.0, stop - created_s(record))


def _clock(metadata: object) -> float:
    """The daemon's time, in seconds since 1970; 0 from one that does not tell it."""
    for key, value in metadata if isinstance(metadata, Sequence) else ():
        if key == CLOCK_HEADER and isinstance(value, str):
            with suppress(ValueError):
                return datetime.fromisoformat(value).timestamp()
    return 0.0


def _line(filters: Sequence[str]) -> list[str]:
    """Filters as the daemon has them: one line of CSV, all of which must hold."""
    terms = [_term(text) for text in filters]
    quoted = ('"' + t.replace('"', '""') + '"' if '"' in t or "," in t else t for t in terms)
    return [",".join(quoted)] if terms else []


def _term(text: str) -> str:
    """One term of a filter as the daemon takes it. Raises `InvalidRequest`."""
    sign = next((sign for sign in _SIGNS if sign in text), "")
    key, _, value = text.partition(sign) if sign else (text, "", "")
    if not sign:
        raise InvalidRequest(f"invalid filter {quote(text)}")
    if key in _VALUE_KEYS:
        if sign not in ("=", "!="):
            raise InvalidRequest(f"invalid separator for {quote(text)}, expected = or !=")
        if sign == "=":
            sign = "==" if key == "status" else "~="
        return f"{key}{sign}{value}"
    if key not in _TIME_KEYS:
        raise InvalidRequest(f"unsupported filter {quote(text)}")
    if sign in ("=", "!="):
        raise InvalidRequest(f"invalid separator for {quote(text)}, expected <=, <, >= or >")
    _check_time(key, value)
    return f"{key}{sign}{value}"


def _check_time(key: str, value: str) -> None:
    try:
        parse_duration(value)
    except DurationError:
        if key == "duration":
            raise InvalidRequest(f"invalid duration {value}") from None
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None:
            raise InvalidRequest(f"invalid time {value}") from None
