"""Status events of a job become `StatusResponse` messages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from croze.api import control_pb2, ops_pb2
from croze.gotypes.strings import shown, to_bytes
from croze.rpc.details import range_message, source_info
from croze.status import (
    ProgressGroup,
    StatusEvent,
    VertexLog,
    VertexState,
    VertexStatus,
    VertexWarning,
)

LARGEST_MESSAGE_BYTES = 1 << 20
_HEAD_BYTES = 200
"""What an event takes beside its texts."""
_DIGEST_BYTES = 73
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def timestamp(moment: datetime | None) -> Timestamp | None:
    """A protobuf time, or None."""
    if moment is None:
        return None
    since = moment - _EPOCH
    seconds = since.days * 86_400 + since.seconds
    return Timestamp(seconds=seconds, nanos=since.microseconds * 1000)


def responses(events: Iterable[StatusEvent]) -> Iterator[control_pb2.StatusResponse]:
    """Pack events, in order, into as few messages as the size limit allows. What a vertex
    has logged comes in one before that in which it begins anew: clients count its times from the
    last start that a message has."""
    response, size = control_pb2.StatusResponse(), 0
    logged_at: dict[str, datetime] = {}
    for event in events:
        more = _size_bytes(event)
        if size and (size + more > LARGEST_MESSAGE_BYTES or _begins_anew(event, logged_at)):
            yield response
            response, size = control_pb2.StatusResponse(), 0
            logged_at.clear()
        if isinstance(event, VertexLog):
            logged_at[event.vertex] = event.timestamp
        add(response, event)
        size += more
    if size:
        yield response


def _begins_anew(event: StatusEvent, logged_at: Mapping[str, datetime]) -> bool:
    """Whether a vertex starts after it has logged something, which another run of it did."""
    if not isinstance(event, VertexState) or event.started is None:
        return False
    last = logged_at.get(event.digest)
    return last is not None and event.started > last


def _size_bytes(event: StatusEvent) -> int:
    """About how much room it takes in a message. A warning has all of the Dockerfile with it."""
    if isinstance(event, VertexLog):
        return _HEAD_BYTES + len(event.data)
    if isinstance(event, VertexState):
        texts = len(event.name) + len(event.error)
        return _HEAD_BYTES + texts + _DIGEST_BYTES * len(event.inputs)
    if isinstance(event, VertexWarning):
        source = event.source
        attached = 0 if source is None else len(source.data) + len(source.definition)
        return _HEAD_BYTES + attached + len(event.short) + sum(map(len, event.detail))
    return _HEAD_BYTES + len(event.id) + len(event.name)


def add(response: control_pb2.StatusResponse, event: StatusEvent) -> None:
    """Put an event into the field of the response that is for its kind."""
    if isinstance(event, VertexState):
        response.vertexes.append(vertex(event))
    elif isinstance(event, VertexStatus):
        response.statuses.append(status(event))
    elif isinstance(event, VertexLog):
        response.logs.add(
            vertex=event.vertex,
            timestamp=timestamp(event.timestamp),
            stream=event.stream,
            msg=event.data,
        )
    else:
        response.warnings.append(warning(event))


def vertex(event: VertexState) -> control_pb2.Vertex:
    return control_pb2.Vertex(
        digest=event.digest,
        inputs=event.inputs,
        name=shown(event.name),
        cached=event.cached,
        started=timestamp(event.started),
        completed=timestamp(event.completed),
        error=shown(event.error),
        progressGroup=progress_group(event.progress_group),
    )


def progress_group(group: ProgressGroup | None) -> ops_pb2.ProgressGroup | None:
    if group is None:
        return None
    return ops_pb2.ProgressGroup(id=group.id, name=shown(group.name), weak=group.weak)


def status(event: VertexStatus) -> control_pb2.VertexStatus:
    return control_pb2.VertexStatus(
        ID=shown(event.id),
        vertex=event.vertex,
        name=shown(event.name),
        current=event.current,
        total=event.total,
        timestamp=timestamp(event.timestamp),
        started=timestamp(event.started),
        completed=timestamp(event.completed),
    )


def warning(event: VertexWarning) -> control_pb2.VertexWarning:
    return control_pb2.VertexWarning(
        vertex=event.vertex,
        level=event.level,
        short=to_bytes(event.short),
        detail=[to_bytes(line) for line in event.detail],
        url=event.url,
        info=source_info(event.source) if event.source is not None else None,
        ranges=[range_message(each) for each in event.ranges],
    )
