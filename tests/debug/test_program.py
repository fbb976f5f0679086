"""In which order one steps through a build."""

from __future__ import annotations

import hashlib

from croze.api import ops_pb2
from croze.debug.dap.program import Program, ProgramStep


class Build:
    """An LLB definition in the making; ops have the lines at which they are added."""

    def __init__(self) -> None:
        self.definition = ops_pb2.Definition()
        self.definition.Source.infos.add(filename="/Dockerfile")

    def add(self, op: ops_pb2.Op, *inputs: str, line: int = 0) -> str:
        op.inputs.extend(ops_pb2.Input(digest=each) for each in inputs)
        data = op.SerializeToString()
        getattr(self.definition, "def").append(data)
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        if line:
            where = ops_pb2.Range(start=ops_pb2.Position(line=line))
            self.definition.Source.locations[digest].locations.add(ranges=[where])
        return digest

    def source(self, name: str, line: int = 0) -> str:
        return self.add(ops_pb2.Op(source=ops_pb2.SourceOp(identifier=name)), line=line)

    def run(self, word: str, root: str, *more: str, line: int) -> str:
        exec = ops_pb2.ExecOp(meta=ops_pb2.Meta(args=[word]))
        exec.mounts.add(input=0, dest="/")
        for index, _ in enumerate(more, 1):
            exec.mounts.add(input=index, dest=f"/{index}")
        return self.add(ops_pb2.Op(exec=exec), root, *more, line=line)

    def program(self, last: str) -> Program:
        self.add(ops_pb2.Op(), last)
        return Program(self.definition)


def lines(program: Program) -> list[tuple[int, ...]]:
    """The stacks at each step, when one steps into everything."""
    found = []
    step = program.entry
    while step is not None:
        found.append(tuple(stack(step)))
        step = step.into
    return found


def stack(step: ProgramStep | None) -> list[int]:
    return [] if step is None else [step.frame.line, *stack(step.out)]


def test_the_last_step_of_a_stage_is_there_before_and_after() -> None:
    build = Build()
    last = build.run("b", build.run("a", build.source("image", 1), line=2), line=3)
    assert lines(build.program(last)) == [(1,), (2,), (3,), (3,)]


def test_branches() -> None:
    """A step is there before each of its branches, and after the last of them."""
    build = Build()
    one = build.run("one", build.source("image", 1), line=2)
    two = build.run("two", build.source("other", 3), line=4)
    last = build.run("last", build.source("third", 5), one, two, line=6)
    program = build.program(last)
    assert lines(program) == [
        (5,),
        *[(6,), (1, 6), (2, 6), (2, 6)],
        *[(6,), (3, 6), (4, 6), (4, 6)],
        *[(6,), (6,)],
    ]
    assert program.entry is not None
    before_all = program.entry.next
    assert before_all is not None
    assert before_all.deferred == {1, 2}
    assert before_all.digest == last
    assert before_all.next is not None
    assert before_all.next.frame.op.inputs[0].digest == last


def test_what_no_line_tells_of() -> None:
    build = Build()
    last = build.run("a", build.source("image", 1), build.source("context"), line=2)
    program = build.program(last)
    assert lines(program) == [(1,), (2,), (2,)]
    nothing = Build()
    assert nothing.program(nothing.source("image")).entry is None
    assert Program(ops_pb2.Definition()).entry is None
