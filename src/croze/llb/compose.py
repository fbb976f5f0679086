"""Ops that put filesystems together: merge, diff, passthrough and build."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from croze.api import ops_pb2
from croze.errors import InvalidRequest
from croze.llb import caps
from croze.llb.graph import Edge, MarshalledOp, Marshaller, OpVertex, Output
from croze.llb.options import Constraints, OpOptions, constraints_of
from croze.llb.state import State, scratch

EMPTY = -1
_LLB_BUILDER = -1
_DEFINITION = "buildkit.llb.definition"


class MergeVertex(OpVertex):
    """Filesystems on top of each other."""

    def __init__(self, inputs: Sequence[Output], constraints: Constraints) -> None:
        self._inputs = inputs
        self._constraints = constraints

    def inputs(self) -> Sequence[Edge]:
        return _edges(self._inputs)

    def marshal(self, marshaller: Marshaller) -> MarshalledOp:
        inputs = [marshaller.input(edge) for edge in self.inputs()]
        if len(inputs) < 2:
            raise InvalidRequest("merge must have at least 2 inputs")
        body = ops_pb2.Op()
        for index in range(len(inputs)):
            body.merge.inputs.add(input=index)
        return marshaller.seal(body, self._constraints, inputs=inputs)


class DiffVertex(OpVertex):
    """What one filesystem has changed against another."""

    def __init__(
        self, lower: Output | None, upper: Output | None, constraints: Constraints
    ) -> None:
        self._lower = lower
        self._upper = upper
        self._constraints = constraints

    def inputs(self) -> Sequence[Edge]:
        return _edges([o for o in (self._lower, self._upper) if o is not None])

    def marshal(self, marshaller: Marshaller) -> MarshalledOp:
        inputs: list[ops_pb2.Input] = []
        body = ops_pb2.Op()
        body.diff.lower.input = _add(inputs, self._lower, marshaller)
        body.diff.upper.input = _add(inputs, self._upper, marshaller)
        body.diff.lower.SetInParent()
        body.diff.upper.SetInParent()
        return marshaller.seal(body, self._constraints, inputs=inputs)


class PassthroughVertex(OpVertex):
    """Inputs handed on unchanged, so that one can require others to be built."""

    def __init__(
        self, id: str, inputs: Sequence[Output], outputs: Sequence[int], constraints: Constraints
    ) -> None:
        self._id = id
        self._inputs = inputs
        self._outputs = outputs
        self._constraints = constraints

    def inputs(self) -> Sequence[Edge]:
        return _edges(self._inputs)

    def marshal(self, marshaller: Marshaller) -> MarshalledOp:
        body = ops_pb2.Op()
        body.passthrough.id = self._id
        body.passthrough.outputs.extend(self._outputs)
        inputs = [marshaller.input(edge) for edge in self.inputs()]
        return marshaller.seal(body, self._constraints, inputs=inputs)


class BuildVertex(OpVertex):
    """A definition that another step writes, solved in its place."""

    def __init__(self, definition: Output, filename: str, constraints: Constraints) -> None:
        self._definition = definition
        self._filename = filename
        self._constraints = constraints

    def inputs(self) -> Sequence[Edge]:
        return _edges([self._definition])

    def marshal(self, marshaller: Marshaller) -> MarshalledOp:
        body = ops_pb2.Op()
        body.build.builder = _LLB_BUILDER
        body.build.inputs[_DEFINITION].input = 0
        if self._filename:
            body.build.attrs["llbbuild.filename"] = self._filename
        inputs = [marshaller.input(edge) for edge in self.inputs()]
        return marshaller.seal(body, self._constraints, inputs=inputs)


def build(state: State, *, filename: str = "", **options: Unpack[OpOptions]) -> State:
    """What the definition in a file of `state` gives; the file is `buildkit.llb.definition` unless
    `filename` says otherwise. Raises `InvalidRequest` for an empty state."""
    if state.output is None:
        raise InvalidRequest("there is no definition in an empty filesystem")
    constraints = constraints_of(options, caps.BUILD_FILE_NAME)
    return state.with_output(Edge(BuildVertex(state.output, filename, constraints)))


def merge(states: Sequence[State], **options: Unpack[OpOptions]) -> State:
    """The states on top of each other, later ones win. Empty ones don't count."""
    filled = [(s, s.output) for s in states if s.output is not None]
    if not filled:
        return scratch()
    first = filled[0][0]
    if len(filled) == 1:
        return first
    constraints = constraints_of(options, caps.MERGE)
    return first.with_output(Edge(MergeVertex([output for _, output in filled], constraints)))


def diff(lower: State, upper: State, **options: Unpack[OpOptions]) -> State:
    """What `upper` has changed against `lower`, for use in `merge`."""
    if lower.output is None:
        return upper if upper.output is not None else scratch()
    constraints = constraints_of(options, caps.DIFF)
    return lower.with_output(Edge(DiffVertex(lower.output, upper.output, constraints)))


def requires(state: State, id: str, others: Sequence[State], **options: Unpack[OpOptions]) -> State:
    """The state, once `others` are built too. `id` tells it from other such steps."""
    outputs = [s.output for s in (state, *others) if s.output is not None]
    if not others or state.output is None:
        return state
    constraints = constraints_of(options, caps.PASSTHROUGH)
    return state.with_output(Edge(PassthroughVertex(id, outputs, [0], constraints)))


def _edges(outputs: Sequence[Output]) -> list[Edge]:
    edges = (output.resolve() for output in outputs)
    return [edge for edge in edges if edge is not None]


def _add(inputs: list[ops_pb2.Input], output: Output | None, marshaller: Marshaller) -> int:
    edge = output.resolve() if output is not None else None
    if edge is None:
        return EMPTY
    inputs.append(marshaller.input(edge))
    return len(inputs) - 1
