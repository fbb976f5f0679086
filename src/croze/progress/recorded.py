"""Reads what `--progress=rawjson` wrote, croze's or buildx's: the opposite of `rawjson`.

The format is Go's JSON of BuildKit's `client.SolveStatus` (`client/graph.go`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec
from google.protobuf.json_format import Parse, ParseError
from google.protobuf.timestamp_pb2 import Timestamp

from croze.api import control_pb2, ops_pb2
from croze.errors import InvalidRequest


class _Group(msgspec.Struct):
    id: str = ""
    name: str = ""
    weak: bool = False


class _Vertex(msgspec.Struct, rename={"group": "progressGroup"}):
    digest: str = ""
    inputs: list[str] = []
    name: str = ""
    started: str = ""
    completed: str = ""
    cached: bool = False
    error: str = ""
    group: _Group | None = None


class _Status(msgspec.Struct):
    id: str
    vertex: str = ""
    name: str = ""
    total: int = 0
    current: int = 0
    timestamp: str = ""
    started: str = ""
    completed: str = ""


class _Log(msgspec.Struct):
    vertex: str = ""
    stream: int = 0
    data: bytes = b""
    timestamp: str = ""


class _Position(msgspec.Struct):
    line: int = 0
    character: int = 0


class _Range(msgspec.Struct):
    start: _Position = msgspec.field(default_factory=_Position)
    end: _Position = msgspec.field(default_factory=_Position)


class _Warning(msgspec.Struct, rename={"source": "sourceInfo", "ranges": "range"}):
    vertex: str = ""
    level: int = 0
    short: bytes = b""
    detail: list[bytes] = []
    url: str = ""
    source: msgspec.Raw = msgspec.Raw()
    ranges: list[_Range] = []


class _Solve(msgspec.Struct):
    vertexes: list[_Vertex] = []
    statuses: list[_Status] = []
    logs: list[_Log] = []
    warnings: list[_Warning] = []


_DECODER = msgspec.json.Decoder(_Solve)


def read(lines: Iterable[bytes], name: str = "") -> Iterator[control_pb2.StatusResponse]:
    """The pieces of status, in their order. Lines that are no JSON object, such as the errors that
    share standard error with it, are passed over. Raises `InvalidRequest` that says where."""
    for number, line in enumerate(lines, 1):
        if line.lstrip().startswith(b"{"):
            try:
                yield decode(line)
            except (msgspec.DecodeError, RecursionError, ValueError, ParseError) as error:
                where = f"{name}:{number}" if name else f"line {number}"
                raise InvalidRequest(f"{where}: no status of a build: {error}") from None


def decode(line: bytes) -> control_pb2.StatusResponse:
    """The status in one line. Raises `msgspec.DecodeError`, `ParseError` and `ValueError`."""
    solve = _DECODER.decode(line)
    return control_pb2.StatusResponse(
        vertexes=[_vertex(each) for each in solve.vertexes],
        statuses=[_status(each) for each in solve.statuses],
        logs=[_log(each) for each in solve.logs],
        warnings=[_warning(each) for each in solve.warnings],
    )


def _time(text: str) -> Timestamp | None:
    if not text:
        return None
    stamp = Timestamp()
    stamp.FromJsonString(text)
    return stamp


def _vertex(vertex: _Vertex) -> control_pb2.Vertex:
    group = vertex.group
    return control_pb2.Vertex(
        digest=vertex.digest,
        inputs=vertex.inputs,
        name=vertex.name,
        cached=vertex.cached,
        started=_time(vertex.started),
        completed=_time(vertex.completed),
        error=vertex.error,
        progressGroup=None
        if group is None
        else ops_pb2.ProgressGroup(id=group.id, name=group.name, weak=group.weak),
    )


def _status(status: _Status) -> control_pb2.VertexStatus:
    return control_pb2.VertexStatus(
        ID=status.id,
        vertex=status.vertex,
        name=status.name,
        current=status.current,
        total=status.total,
        timestamp=_time(status.timestamp),
        started=_time(status.started),
        completed=_time(status.completed),
    )


def _log(log: _Log) -> control_pb2.VertexLog:
    return control_pb2.VertexLog(
        vertex=log.vertex, timestamp=_time(log.timestamp), stream=log.stream, msg=log.data
    )


def _warning(warning: _Warning) -> control_pb2.VertexWarning:
    return control_pb2.VertexWarning(
        vertex=warning.vertex,
        level=warning.level,
        short=warning.short,
        detail=warning.detail,
        url=warning.url,
        info=_source(warning.source),
        ranges=[
            ops_pb2.Range(start=_position(each.start), end=_position(each.end))
            for each in warning.ranges
        ],
    )


def _source(source: msgspec.Raw) -> ops_pb2.SourceInfo | None:
    """The source in a warning: its JSON is protobuf's own, but for the names of fields, which may
    be of either kind."""
    if not bytes(source):
        return None
    return Parse(bytes(source), ops_pb2.SourceInfo(), ignore_unknown_fields=True)


def _position(position: _Position) -> ops_pb2.Position:
    return ops_pb2.Position(line=position.line, character=position.character)
