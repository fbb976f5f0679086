"""One result of a build, evaluated step by step.

Source: buildx `dap/thread.go`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Protocol

from msgspec import Struct, field

from croze.aio.parallel import all_of
from croze.api import gateway_pb2, ops_pb2
from croze.debug.containers import open_container
from croze.debug.dap.breakpoints import Breakpoints
from croze.debug.dap.program import Frame, Program, ProgramStep
from croze.debug.dap.protocol import Message
from croze.debug.dap.trees import BrowsableTree, MountTree, Opening, ResultTree
from croze.debug.dap.variables import VariableReferences, arguments_of, files_of
from croze.debug.failure import CONFIG, BuildOutcome, failed_op, failed_step
from croze.debug.invocation import Invocation
from croze.errors import CrozeError
from croze.rpc.held import HeldBuild


class StepAction(Enum):
    CONTINUE = "continue"
    NEXT = "next"
    STEP_IN = "stepIn"
    STEP_OUT = "stepOut"


class DebugSession(Protocol):
    """What the threads of one debugging session share."""

    breakpoints: Breakpoints
    frame_ids: Iterator[int]
    stop_on_entry: bool

    def event(self, name: str, body: Message) -> None:
        """Send an event to the editor."""

    def source(self, path: str, data: bytes) -> None:
        """Tell of a file that the build is made from."""

    def file_of(self, name: str) -> str:
        """The path here of a file that the build names."""

    async def serve_shell(self, bridge: HeldBuild, outcome: BuildOutcome, line: int) -> None:
        """Run shells, for those who ask for one, in what the build came to; until cancelled."""


class StopPoint(Struct):
    """The place that a thread has come to, and what there is to look at."""

    step: ProgramStep | None = None
    root: str = ""
    trees: dict[str, BrowsableTree] = field(default_factory=dict)
    failed: CrozeError | None = None


class Thread:
    """What an editor sees as a thread: one result (a platform) of the build, as steps to go
    through."""

    def __init__(
        self,
        id: int,
        name: str,
        session: DebugSession,
        bridge: HeldBuild,
        ref: gateway_pb2.Ref,
        metadata: dict[str, bytes],
    ) -> None:
        self.id = id
        self.name = name
        self.references = VariableReferences(id)
        self._session = session
        self._bridge = bridge
        self._ref = ref
        self._metadata = metadata
        self._program = Program(_located(getattr(ref, "def"), session.file_of), session.frame_ids)
        self._points: dict[str, int] = {}
        self._stack: list[Frame] = []
        self._scopes: dict[int, list[Message]] = {}
        self._paused: asyncio.Future[StepAction] | None = None

    async def evaluate(self) -> None:
        """Step through the build to its end. Raises what it fails with, when the user has seen
        it."""
        for info in self._program.definition.Source.infos:
            self._session.source(info.filename, info.data)
        action, stop = StepAction.CONTINUE, StopPoint()
        if self._session.stop_on_entry:
            action, stop = StepAction.NEXT, StopPoint(self._program.entry)
        while True:
            event = self._event(stop, action)
            if event is not None:
                action = await self._pause(stop, event)
            if stop.failed is not None:
                raise stop.failed
            self._points = self._session.breakpoints.found_in(
                self._program.definition.Source,
                lambda point: self._session.event(
                    "breakpoint", {"reason": "changed", "breakpoint": point}
                ),
            )
            stop = await self._seek(self._target(stop.step, action))
            if stop.step is None:
                if stop.failed is not None:
                    raise stop.failed
                return

    def resume(self, action: StepAction) -> None:
        if self._paused is not None and not self._paused.done():
            self._paused.set_result(action)

    def frames(self) -> list[Message]:
        return [each.message() for each in self._stack]

    def has_frame(self, id: int) -> bool:
        return self._paused is not None and id in self._program.frames

    def scopes(self, frame: int) -> list[Message]:
        return self._scopes.get(frame, [])

    def _event(self, stop: StopPoint, action: StepAction) -> Message | None:
        """Why it is stopped here, if it is."""
        if stop.failed is not None:
            return {
                "reason": "exception",
                "description": "Encountered an error during result evaluation",
            }
        if stop.step is None:
            return None
        if action is not StepAction.CONTINUE:
            return {"reason": "step"}
        point = self._points.get(stop.step.digest)
        if point is None:
            return None
        return {
            "reason": "breakpoint",
            "description": "Paused on breakpoint",
            "hitBreakpointIds": [point],
        }

    async def _pause(self, stop: StopPoint, event: Message) -> StepAction:
        self._paused = asyncio.get_running_loop().create_future()
        outcome = self._outcome(stop)
        opening = self._look_into(stop, outcome)
        self._show(stop)
        try:
            async with asyncio.TaskGroup() as group:
                serving = None
                if outcome is not None:
                    line = self._stack[0].line if self._stack else 0
                    serving = group.create_task(
                        self._session.serve_shell(self._bridge, outcome, line)
                    )
                self._session.event("stopped", {**event, "threadId": self.id})
                action = await self._paused
                if serving is not None:
                    serving.cancel()
        finally:
            self._paused = None
            self._stack = []
            self._scopes.clear()
            self.references.reset()
            if opening is not None:
                await opening.close()
        return action

    def _outcome(self, stop: StopPoint) -> BuildOutcome | None:
        """What a container can be opened on."""
        config = self._metadata.get(CONFIG, b"")
        if stop.failed is not None:
            step = failed_step(stop.failed)
            return BuildOutcome("", config, step) if step is not None else None
        tree = stop.trees.get(stop.root)
        return BuildOutcome(tree.ref, config) if isinstance(tree, ResultTree) else None

    def _look_into(self, stop: StopPoint, outcome: BuildOutcome | None) -> Opening | None:
        """Look into where it stands: of a step that has failed, one sees what it did rather than
        what it was given."""
        if outcome is None or outcome.failed is None:
            return None
        op = failed_op(outcome.failed)
        if op.WhichOneof("op") != "exec":
            return None
        opening = Opening(lambda: open_container(self._bridge, outcome, Invocation()))
        for index, mount in enumerate(op.exec.mounts):
            stop.trees[mount.dest] = MountTree(opening, index)
        return opening

    def _show(self, stop: StopPoint) -> None:
        step, trees = stop.step, stop.trees
        while step is not None:
            frame = step.frame
            scopes = [arguments_of(frame.op, self.references)]
            if trees:
                scopes.append(files_of(trees, self.references))
            self._scopes[frame.id] = scopes
            self._stack.append(frame)
            step, trees = step.out, {}

    def _target(self, at: ProgramStep | None, action: StepAction) -> ProgramStep | None:
        """Where to stop next; nowhere: the end."""
        if at is None:
            at = self._program.entry
            if at is None or at.digest in self._points:
                return at
        until = {
            StepAction.CONTINUE: None,
            StepAction.NEXT: at.next,
            StepAction.STEP_IN: at.into,
            StepAction.STEP_OUT: at.out,
        }[action]
        step = at.into
        while step is not None and step is not until:
            if step.digest in self._points:
                return step
            step = step.into
        return until

    async def _seek(self, target: ProgramStep | None) -> StopPoint:
        """Have done what is before a step."""
        stop = StopPoint(target, "/", {"/": ResultTree(self._bridge, self._ref.id)})
        ids = [self._ref.id]
        try:
            if target is not None:
                stop, ids = await self._inputs(target)
            await all_of(self._bridge.evaluate_ref(ref) for ref in ids if ref)
        except CrozeError as error:
            return await self._rewound(error)
        return stop

    async def _inputs(self, target: ProgramStep) -> tuple[StopPoint, list[str]]:
        """What a step is given, and what of it is to be evaluated."""
        stop, inputs = StopPoint(target), []
        op = target.frame.op
        for index, each in enumerate(op.inputs):
            name = self._name_of(op, index, each)
            if name in stop.trees:
                continue
            if index == target.parent:
                stop.root = name
            ref = await self._solve(each)
            stop.trees[name] = ResultTree(self._bridge, ref)
            if index not in target.deferred:
                inputs.append(ref)
        return stop, inputs

    async def _solve(self, target: ops_pb2.Input) -> str:
        if target.digest == self._program.head:
            return self._ref.id
        result = await self._bridge.solve(self._program.up_to(target), evaluate=False)
        return result.ref.id

    def _name_of(self, op: ops_pb2.Op, index: int, source_input: ops_pb2.Input) -> str:
        if op.WhichOneof("op") == "exec":
            for mount in op.exec.mounts:
                if mount.input == index:
                    return mount.dest
        source = self._program.ops.get(source_input.digest)
        if source is not None and source_input.index == 0 and source.WhichOneof("op") == "source":
            return source.source.identifier
        return source_input.digest

    async def _rewound(self, failed: CrozeError) -> StopPoint:
        """The step that failed, with what it was given."""
        detail = failed_step(failed)
        if detail is None:
            return StopPoint(failed=failed)
        step = self._step_of(failed_op(detail))
        if step is None:
            return StopPoint(failed=failed)
        try:
            stop, inputs = await self._inputs(step)
            await all_of(self._bridge.evaluate_ref(ref) for ref in inputs if ref)
        except CrozeError:  # of the step's inputs; what failed first is told
            stop = StopPoint(step)
        stop.failed = failed
        return stop

    def _step_of(self, op: ops_pb2.Op) -> ProgramStep | None:
        """The step of an op, by what it says: the daemon may have put it into other bytes, and a
        file op without its platform."""
        ops = [op]
        if op.WhichOneof("op") == "file":
            bare = ops_pb2.Op()
            bare.CopyFrom(op)
            bare.ClearField("platform")
            ops.append(bare)
        step = self._program.entry
        while step is not None and self._program.ops.get(step.digest) not in ops:
            step = step.into
        return step


def _located(definition: ops_pb2.Definition, file_of: Callable[[str], str]) -> ops_pb2.Definition:
    located = ops_pb2.Definition()
    located.CopyFrom(definition)
    for info in located.Source.infos:
        info.filename = file_of(info.filename)
    return located
