"""The raw display: each status as a line of JSON, for other programs.

The format is what Go's encoder makes of BuildKit's `client.SolveStatus`.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import TYPE_CHECKING, BinaryIO

from croze.gotypes import messages
from croze.gotypes.gojson import omit_empty
from croze.gotypes.moments import rfc3339
from croze.progress import warnings

if TYPE_CHECKING:
    from croze.api import control_pb2

Object = dict[str, object]


class RawJsonDisplay:
    """Prints each status as a line of JSON, for programs."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self.warnings = warnings.Warnings()

    def update(self, status: control_pb2.StatusResponse) -> None:
        self.warnings.add(status.warnings)
        self._out.write(encode(status).encode() + b"\n")
        self._out.flush()

    def refresh(self) -> None: ...

    def close(self) -> None: ...


def encode(status: control_pb2.StatusResponse) -> str:
    value = omit_empty(
        vertexes=[_vertex(v) for v in status.vertexes],
        statuses=[_status(s) for s in status.statuses],
        logs=[_log(log) for log in status.logs],
        warnings=[warning_value(w) for w in status.warnings],
    )
    return messages.encode(value).decode()


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _optional(
    message: control_pb2.Vertex | control_pb2.VertexStatus,
) -> tuple[str, str]:
    return (
        rfc3339(message.started) if message.HasField("started") else "",
        rfc3339(message.completed) if message.HasField("completed") else "",
    )


def _vertex(vertex: control_pb2.Vertex) -> Object:
    started, completed = _optional(vertex)
    group = vertex.progressGroup
    return omit_empty(
        digest=vertex.digest,
        inputs=list(vertex.inputs),
        name=vertex.name,
        started=started,
        completed=completed,
        cached=vertex.cached,
        error=vertex.error,
    ) | (
        {"progressGroup": omit_empty(id=group.id, name=group.name, weak=group.weak)}
        if vertex.HasField("progressGroup")
        else {}
    )


def _status(status: control_pb2.VertexStatus) -> Object:
    started, completed = _optional(status)
    return (
        {"id": status.ID}
        | omit_empty(vertex=status.vertex, name=status.name, total=status.total)
        | {"current": status.current, "timestamp": rfc3339(status.timestamp)}
        | omit_empty(started=started, completed=completed)
    )


def _log(log: control_pb2.VertexLog) -> Object:
    return omit_empty(vertex=log.vertex, stream=log.stream) | {
        "data": _base64(log.msg),
        "timestamp": rfc3339(log.timestamp),
    }


def metadata_warnings(warnings: Iterable[control_pb2.VertexWarning]) -> list[Object]:
    """Warnings as metadata files have them: without the graph that their file came from."""
    values = [warning_value(warning) for warning in warnings]
    for info in (value.get("sourceInfo") for value in values):
        if isinstance(info, dict):
            info.pop("definition", None)
    return values


def warning_value(warning: control_pb2.VertexWarning) -> Object:
    members = omit_empty(
        vertex=warning.vertex,
        level=warning.level,
        short=_base64(warning.short),
        detail=[_base64(line) for line in warning.detail],
        url=warning.url,
    )
    if warning.HasField("info"):
        members["sourceInfo"] = messages.message(warning.info)
    return members | omit_empty(range=[messages.message(where) for where in warning.ranges])
