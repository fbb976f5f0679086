"""Pieces of status, with times in seconds after a fixed moment."""

from __future__ import annotations

from google.protobuf.timestamp_pb2 import Timestamp

from croze.api import control_pb2, ops_pb2

BASE = 1_700_000_000


def at(seconds: float) -> Timestamp:
    stamp = Timestamp()
    stamp.FromNanoseconds(BASE * 1_000_000_000 + round(seconds * 1e9))
    return stamp


def vertex(
    digest: str,
    name: str,
    start: float | None = None,
    stop: float | None = None,
    *,
    cached: bool = False,
    error: str = "",
    group: tuple[str, str, bool] | None = None,
) -> control_pb2.StatusResponse:
    message = control_pb2.Vertex(digest=digest, name=name, cached=cached, error=error)
    if start is not None:
        message.started.CopyFrom(at(start))
    if stop is not None:
        message.completed.CopyFrom(at(stop))
    if group is not None:
        id, group_name, weak = group
        message.progressGroup.CopyFrom(ops_pb2.ProgressGroup(id=id, name=group_name, weak=weak))
    return control_pb2.StatusResponse(vertexes=[message])


def bar(
    digest: str,
    id: str,
    current: int,
    total: int,
    now: float,
    start: float,
    stop: float | None = None,
) -> control_pb2.StatusResponse:
    message = control_pb2.VertexStatus(
        vertex=digest, ID=id, current=current, total=total, timestamp=at(now), started=at(start)
    )
    if stop is not None:
        message.completed.CopyFrom(at(stop))
    return control_pb2.StatusResponse(statuses=[message])


def log(digest: str, text: str, now: float) -> control_pb2.StatusResponse:
    message = control_pb2.VertexLog(vertex=digest, stream=1, msg=text.encode(), timestamp=at(now))
    return control_pb2.StatusResponse(logs=[message])


def warning(digest: str, short: str) -> control_pb2.StatusResponse:
    message = control_pb2.VertexWarning(
        vertex=digest,
        level=1,
        short=short.encode(),
        detail=[b"because"],
        url="https://example.com/w",
        info=ops_pb2.SourceInfo(filename="Dockerfile", data=b"FROM x\nRUN y\n"),
        ranges=[ops_pb2.Range(start=ops_pb2.Position(line=2), end=ops_pb2.Position(line=2))],
    )
    return control_pb2.StatusResponse(warnings=[message])
