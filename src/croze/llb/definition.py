"""Definitions that come from elsewhere: read, check, and build on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from google.protobuf.message import DecodeError
from msgspec import Struct

from croze.api import ops_pb2
from croze.digests import digest_of
from croze.errors import InvalidRequest
from croze.llb.graph import Edge, MarshalledOp, Marshaller, OpVertex
from croze.llb.marshal import op_blobs
from croze.llb.sourcemap import SourceLocation, SourceMap, range_from_pb
from croze.llb.state import State


class LoadedDefinition(Struct, frozen=True):
    """A definition whose ops were parsed and whose inputs are all there.

    `result` is the (digest, output index) that it stands for; None for scratch.
    """

    ops: Mapping[str, ops_pb2.Op]
    blobs: Mapping[str, bytes]
    metadata: Mapping[str, ops_pb2.OpMetadata]
    result: tuple[str, int] | None

    def order(self) -> list[str]:
        """Digests of all ops that the result needs, inputs first."""
        ordered: dict[str, None] = {}
        stack = [(self.result[0], False)] if self.result is not None else []
        while stack:
            digest, ready = stack.pop()
            if ready:
                ordered[digest] = None
            elif digest not in ordered:
                stack.append((digest, True))
                inputs = self.ops[digest].inputs
                stack.extend((i.digest, False) for i in reversed(inputs) if i.digest not in ordered)
        return list(ordered)


def load(definition: ops_pb2.Definition) -> LoadedDefinition:
    """Parse and check. Raises `InvalidRequest`, worded as BuildKit does."""
    ops: dict[str, ops_pb2.Op] = {}
    blobs: dict[str, bytes] = {}
    last: ops_pb2.Op | None = None
    for data in op_blobs(definition):
        last = _parse(data)
        digest = digest_of(data)
        ops[digest], blobs[digest] = last, data
    for op in ops.values():
        _check_inputs(op, ops)
    if last is None or not last.inputs:
        return LoadedDefinition(ops, blobs, definition.metadata, None)
    result = (last.inputs[0].digest, last.inputs[0].index)
    return LoadedDefinition(ops, blobs, definition.metadata, result)


def _parse(data: bytes) -> ops_pb2.Op:
    try:
        return ops_pb2.Op.FromString(data)
    except DecodeError as err:
        raise InvalidRequest(f"failed to parse llb proto op: {err}") from err


def _check_inputs(op: ops_pb2.Op, ops: Mapping[str, ops_pb2.Op]) -> None:
    for number, input in enumerate(op.inputs):
        if input.index < 0:
            raise InvalidRequest(f"invalid input {number} output index {input.index}")
        if input.digest not in ops:
            raise InvalidRequest(f"invalid missing input digest {input.digest}")


def head(definition: ops_pb2.Definition) -> str:
    """The digest of the op whose result the definition is; empty for scratch."""
    blobs = op_blobs(definition)
    if not blobs:
        return ""
    last = _parse(blobs[-1])
    return last.inputs[0].digest if last.inputs else ""


def source_ops(definition: ops_pb2.Definition) -> list[ops_pb2.SourceOp]:
    """All sources in a definition, in its order."""
    ops = (_parse(data) for data in op_blobs(definition))
    return [op.source for op in ops if op.HasField("source")]


class DefinedVertex(OpVertex):
    """An op of a loaded definition: goes into a new one as it is."""

    def __init__(self, origin: _Origin, digest: str) -> None:
        self._origin = origin
        self._digest = digest

    def inputs(self) -> Sequence[Edge]:
        op = self._origin.loaded.ops[self._digest]
        return [self._origin.edge(i.digest, i.index) for i in op.inputs]

    def marshal(self, marshaller: Marshaller) -> MarshalledOp:
        loaded = self._origin.loaded
        return MarshalledOp(
            self._digest,
            loaded.blobs[self._digest],
            loaded.metadata.get(self._digest, ops_pb2.OpMetadata()),
            self._origin.locations.get(self._digest, ()),
        )


class _Origin:
    """A loaded definition that vertices refer to. One vertex per op and output, as BuildKit has it:
    an op used through two outputs lists its source locations twice."""

    def __init__(self, definition: ops_pb2.Definition, loaded: LoadedDefinition) -> None:
        self.loaded = loaded
        self.locations = _locations(definition)
        self._vertices: dict[tuple[str, int], DefinedVertex] = {}

    def edge(self, digest: str, index: int) -> Edge:
        key = (digest, index)
        if key not in self._vertices:
            self._vertices[key] = DefinedVertex(self, digest)
        return Edge(self._vertices[key], index)


def definition_to_state(definition: ops_pb2.Definition) -> State:
    """A state to build on what another definition stands for. Its platform is not looked at: what
    is run on it runs on the platform that marshalling is told."""
    loaded = load(definition)
    if loaded.result is None:
        return State()
    digest, index = loaded.result
    return State(_Origin(definition, loaded).edge(digest, index))


def _locations(definition: ops_pb2.Definition) -> dict[str, list[SourceLocation]]:
    maps = [
        SourceMap(
            info.filename,
            info.data,
            info.language,
            info.definition if info.HasField("definition") else None,
        )
        for info in definition.Source.infos
    ]
    by_vertex: dict[str, list[SourceLocation]] = {}
    for digest, locations in definition.Source.locations.items():
        for location in locations.locations:
            if not 0 <= location.sourceIndex < len(maps):
                raise InvalidRequest(f"failed to find source map with index {location.sourceIndex}")
            ranges = tuple(range_from_pb(r) for r in location.ranges)
            by_vertex.setdefault(digest, []).append(
                SourceLocation(maps[location.sourceIndex], ranges)
            )
    return by_vertex
