"""A build as a program: its ops in the order in which a user steps through them.

One stops before an op. The last of a stage has two steps, the second after the op. What a step
needs besides its own stage (`COPY --from`) is a branch that one can step into. Source: buildx
`dap/thread.go` (createProgram).
"""

from __future__ import annotations

import hashlib
import itertools
import posixpath
from collections.abc import Iterator

from msgspec import Struct, field
from msgspec.structs import replace

from croze.api import ops_pb2
from croze.debug.dap.protocol import Message

CUSTOM_NAME = "llb.customname"
COMMAND = "com.docker.dockerfile.v1.command"


class Frame(Struct):
    """A stack frame of the protocol: one op, with its name and its place."""

    id: int
    op: ops_pb2.Op
    name: str = ""
    path: str = ""
    line: int = 0
    column: int = 0
    end_line: int = 0
    end_column: int = 0

    def message(self) -> Message:
        message: Message = {
            "id": self.id,
            "name": self.name,
            "line": self.line,
            "column": self.column,
        }
        if self.path:
            message["source"] = {"name": posixpath.basename(self.path), "path": self.path}
        if self.end_line:
            message["endLine"] = self.end_line
        if self.end_column:
            message["endColumn"] = self.end_column
        return message

    def locate(
        self, source: ops_pb2.Source, locations: ops_pb2.Locations, following: ProgramStep | None
    ) -> None:
        """Choose a step's place: of several, the one that fits best with the step that follows."""
        for location in locations.locations:
            for where in location.ranges:
                if following is not None and self.line and not self._is_better(where, following):
                    continue
                self.line, self.column = where.start.line, where.start.character
                self.end_line, self.end_column = where.end.line, where.end.character
                self.path = source.infos[location.sourceIndex].filename
                if following is None:
                    return

    def _is_better(self, where: ops_pb2.Range, following: ProgramStep) -> bool:
        return self.line < where.start.line <= following.frame.line or where.start.line < self.line


class ProgramStep(Struct, eq=False):
    frame: Frame
    digest: str = ""
    """The op that is about to be done, for breakpoints."""
    deferred: frozenset[int] = frozenset()
    """Inputs that are not evaluated yet when one stops here."""
    into: ProgramStep | None = None
    out: ProgramStep | None = None
    next: ProgramStep | None = None
    parent: int = -1
    """Which input has the step's own stage."""


class Program(Struct):
    definition: ops_pb2.Definition
    ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    ops: dict[str, ops_pb2.Op] = field(default_factory=dict)
    frames: dict[int, Frame] = field(default_factory=dict)
    head: str = ""
    entry: ProgramStep | None = None

    def __post_init__(self) -> None:
        defs = getattr(self.definition, "def")
        for data in defs:
            self.ops[f"sha256:{hashlib.sha256(data).hexdigest()}"] = ops_pb2.Op.FromString(data)
        if defs:
            last = ops_pb2.Op.FromString(defs[-1])
            self.head = last.inputs[0].digest if last.inputs else ""
        if self.head:
            self.entry = self._branch(self.head, None)

    def up_to(self, target: ops_pb2.Input) -> ops_pb2.Definition:
        """A definition of what one input needs, with that for its result."""
        definition = ops_pb2.Definition()
        definition.CopyFrom(self.definition)
        getattr(definition, "def")[-1] = ops_pb2.Op(inputs=[target]).SerializeToString()
        return definition

    def _branch(self, digest: str, exit: ProgramStep | None) -> ProgramStep | None:
        """The first step of a branch; none if no source tells of its last op."""
        frame = self._frame(digest, None)
        if not frame.path:
            return None
        joined = ops_pb2.Op(inputs=[ops_pb2.Input(digest=digest)])
        back = ProgramStep(replace(frame, op=joined), into=exit, next=exit, out=exit)
        entry = ProgramStep(frame, digest=digest, into=back, next=back, out=exit)
        while True:
            op = self.ops[entry.digest]
            if not op.inputs:
                return entry
            entry.parent = parent_of(op)
            for index in range(len(op.inputs) - 1, -1, -1):
                if index == entry.parent:
                    continue
                # A step before this one, which leads into the branch of the input; it is there
                # that a breakpoint of the op counts.
                before = replace(entry)
                before.into = self._branch(op.inputs[index].digest, entry)
                if before.into is None:
                    entry.deferred |= {index}
                    continue
                entry.digest = ""
                before.deferred = entry.deferred | {index}
                entry = before
            if entry.parent < 0:
                return entry
            above = op.inputs[entry.parent].digest
            entry = ProgramStep(
                self._frame(above, entry),
                digest=above,
                deferred=entry.deferred,
                into=entry,
                next=entry,
                out=entry.out,
            )

    def _frame(self, digest: str, following: ProgramStep | None) -> Frame:
        frame = Frame(next(self.ids), self.ops.get(digest, ops_pb2.Op()))
        if digest in self.definition.metadata:
            about = self.definition.metadata[digest].description
            frame.name = about.get(CUSTOM_NAME) or about.get(COMMAND) or ""
        source = self.definition.Source
        if digest in source.locations:
            frame.locate(source, source.locations[digest], following)
        self.frames[frame.id] = frame
        return frame


def parent_of(op: ops_pb2.Op) -> int:
    """Which input has the stage that an op goes on with; -1 if none does."""
    kind = op.WhichOneof("op")
    if kind == "exec":
        return next((m.input for m in op.exec.mounts if m.dest == "/"), -1)
    if kind == "file":
        inputs = (action.input for action in op.file.actions)
        return next((each for each in inputs if 0 <= each < len(op.inputs)), -1)
    return 0
