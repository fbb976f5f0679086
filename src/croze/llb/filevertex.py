"""File actions as an op: inputs and actions numbered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct

from croze.api import ops_pb2
from croze.llb import caps
from croze.llb.fileop import NONE, CopyAction, FileAction, FileEdit
from croze.llb.graph import Edge, MarshalledOp, Marshaller, OpVertex, Output
from croze.llb.options import Constraints


class FileVertex(OpVertex):
    """A chain of actions as an op. Its identity has no platform: files are files."""

    def __init__(self, action: FileAction, constraints: Constraints) -> None:
        self._action = action
        self._constraints = constraints.with_caps(caps.FILE_BASE)

    def inputs(self) -> Sequence[Edge]:
        """Last action first, the file system worked on before the one copied from: the order in
        which BuildKit's client walks, and so the order of ops in a definition."""
        edges = (o.resolve() for o in _outputs(self._action) if o is not None)
        return [edge for edge in edges if edge is not None]

    def marshal(self, marshaller: Marshaller) -> MarshalledOp:
        writer = _ActionWriter(marshaller)
        writer.add(self._action)
        body = ops_pb2.Op()
        body.file.SetInParent()
        writer.fill(body.file)
        return marshaller.seal(body, self._constraints, inputs=writer.inputs)


def _outputs(action: FileAction) -> Iterator[Output | None]:
    for step in reversed(action.chain()):
        yield step.base
        if isinstance(step.change, CopyAction):
            if isinstance(step.change.source, FileAction):
                yield from _outputs(step.change.source)
            else:
                yield step.change.source


class _Step(Struct, frozen=True):
    """An action with its inputs: an index among the op's inputs, or (True, n) for action n."""

    action: FileAction
    base: int
    input: tuple[bool, int]
    second: tuple[bool, int]


class _ActionWriter:
    def __init__(self, marshaller: Marshaller) -> None:
        self.inputs: list[ops_pb2.Input] = []
        self._marshaller = marshaller
        self._known: dict[tuple[str, int], int] = {}
        self._steps: list[_Step] = []
        self._targets: dict[FileAction, int] = {}

    def add(self, action: FileAction) -> int:
        """Number the chain's actions and inputs; returns the last action's number."""
        previous: int | None = None
        for step in action.chain():
            if step in self._targets:
                previous = self._targets[step]
                continue
            base = self._input(step.base)
            first = (False, base) if previous is None else (True, previous)
            second = self._second(step.change)
            previous = self._targets[step] = len(self._steps)
            self._steps.append(_Step(step, base, first, second))
        assert previous is not None
        return previous

    def fill(self, file: ops_pb2.FileOp) -> None:
        for number, step in enumerate(self._steps):
            last = number + 1 == len(self._steps)
            message = file.actions.add(
                input=self._number(step.input),
                secondaryInput=self._number(step.second),
                output=0 if last else NONE,
            )
            step.action.change.fill(message, step.action.dir, step.base)

    def _second(self, change: FileEdit) -> tuple[bool, int]:
        if not isinstance(change, CopyAction):
            return (False, NONE)
        if isinstance(change.source, FileAction):
            return (True, self.add(change.source))
        return (False, self._input(change.source))

    def _input(self, output: Output | None) -> int:
        edge = output.resolve() if output is not None else None
        if edge is None:
            return NONE
        wire = self._marshaller.input(edge)
        key = (wire.digest, wire.index)
        if key not in self._known:
            self._known[key] = len(self.inputs)
            self.inputs.append(wire)
        return self._known[key]

    def _number(self, input: tuple[bool, int]) -> int:
        relative, index = input
        return len(self.inputs) + index if relative else index
