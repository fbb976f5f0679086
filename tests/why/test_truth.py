"""Random builds of random Dockerfiles on the real solver: what `why` says is true.

The world keeps its own ledger of what was tried with what, and with what end; every reason is
checked against that. Files, steps and caches are numbers; graphs, edits, failures, cancellations,
reverts, lost results and forced builds are hypothesis's.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from croze.errors import CrozeError
from croze.fs.content.changed import Changes, FileChange
from croze.fs.content.checksum import Query
from croze.solver.contract import Edge, Vertex
from croze.solver.observe import VertexFacts
from croze.solver.solver import Job, Solver
from croze.why.explainer import ExplainedStep, Explainer
from croze.why.history import PastBuilds
from croze.why.record import RecordedBuild, make_steps, missed
from tests.solver.arithmetic import Number
from tests.support.memory_keys import MemoryKeys
from tests.why.worlds import FILES, WISHES, Source, Try, Wish, World, dockerfiles


async def build(world: World, solver: Solver, target: int, *, forced: int | None) -> RecordedBuild:
    """Build up to a line, record it as the recorder does, and check every word of it."""
    world.builds += 1
    world.reached.clear()
    vertices = world.graph(forced=forced)
    before, alive = list(world.ledger), set(world.results.values)
    async with solver.job(f"job {world.builds}") as job, asyncio.TaskGroup() as group:
        running = group.create_task(one_build(job, vertices[target + 1]))
        stopped = group.create_task(world.reached.wait())
        await asyncio.wait({running, stopped}, return_when=asyncio.FIRST_COMPLETED)
        running.cancel()
        stopped.cancel()
        await asyncio.wait({running})
        facts = list(job.facts())
        # The newest of its kind, as a daemon's clock would have it.
        created = world.tick()
        steps = make_steps(facts, {}, lists(world, facts))
        made = RecordedBuild(f"ref{world.builds}", "s", "Dockerfile", "", created, steps=steps)
        world.history.add(made)
    explainer = Explainer(
        made, world.history.earlier("s", before=made.ref), compare, world.history.gone
    )
    for step in made.steps:
        if missed(step) and not step.internal:
            Truth(world, made, before, alive).check(explainer.explain(step))
    ran = {t.line for t in world.ledger[len(before) :]}
    assert ran == {int(s.name[1]) - 1 for s in made.steps if missed(s) and not s.internal}
    return made


async def one_build(job: Job, vertex: Vertex) -> None:
    try:
        built = await job.build(Edge(vertex))
    except CrozeError:
        return
    await built.release()


def lists(world: World, facts: Iterable[VertexFacts]) -> dict[tuple[str, int], str]:
    """The files that inputs held, by content of the result."""
    found = {}
    for one in facts:
        for number, item in enumerate(one.inputs):
            if item.content and item.result is not None:
                tree = world.trees.get(item.result.id)
                assert isinstance(item.result, Number)
                held = tree if tree is not None else (item.result.value,)
                found[one.vertex.digest, number] = json.dumps(held)
    return found


def compare(old: str, new: str, queries: Sequence[Query]) -> Changes:
    before, after = json.loads(old), json.loads(new)
    paths = [int(q.path) for q in queries if q.path.isdigit()] or [0]
    names = [str(p) for p in paths if before[p] != after[p]]
    files = tuple(FileChange(name, "changed") for name in names)
    return Changes(files, len(names), len(paths))


class Truth:
    """Checks what is said of the steps of one build. `tries` and `alive`: all attempts before it,
    and the results that there were when it began."""

    def __init__(
        self, world: World, build: RecordedBuild, tries: Sequence[Try], alive: set[str]
    ) -> None:
        self._world, self._build = world, build
        self._tries, self._alive = tries, alive

    def check(self, said: ExplainedStep) -> None:
        line = int(said.step.name[1]) - 1
        state = self._world.state(line)
        mine = [t for t in self._tries if t.line == line]
        same = [t for t in mine if t.state == state]
        had = [t for t in mine if t.end == "made"]
        live = [t for t in had if t.result in self._alive]
        told = f"{said.step.name}: {said.reasons}"
        assert said.reasons, told
        for reason in said.reasons:
            assert reason.kind in CHECKS or reason.kind in ("pruned", "failed", "stopped", "new"), (
                told
            )
            match reason.kind:
                case "pruned" if reason.subject:
                    assert had, told
                    assert not live, told
                case "pruned":
                    assert any(t.end == "made" for t in same), told
                    assert not any(t in live for t in same), told
                case "failed" | "stopped":
                    assert same, told
                    assert same[-1].end == reason.kind, told
                case "new":
                    assert not had, told
                case "parent":
                    below = next(s for s in self._build.steps if s.name == reason.subject)
                    assert missed(below), told
                case "no-cache":
                    assert said.step.ignore_cache
        changes = {r.kind for r in said.reasons} & {"files", "environment", "instruction"}
        if changes:
            assert live, told
            self._check_changes(line, said, live)

    def _check_changes(self, line: int, said: ExplainedStep, live: Sequence[Try]) -> None:
        """What is said to have changed is all that differs from one try whose result is there, as
        far down as steps were found; and from no such try less differs."""
        told, parents = frozenset[Change](), False
        for reason in said.reasons:
            if reason.kind == "parent":
                parents = True
            elif reason.subject == "the build context":
                assert reason.files, said
                told |= {("file", f.path) for f in reason.files}
            else:
                told |= {("from" if reason.kind == "files" else reason.kind, "")}
        possible = [changes for old in live for changes in self._changes(line, old)]
        if parents:
            assert any(told <= changes for changes in possible), f"{said}: {possible}"
            return
        assert told in possible, f"{said}: {possible}"
        if {kind for kind, _ in told} == {"file"}:
            only = [c for c in possible if {kind for kind, _ in c} <= {"file"}]
            assert len(told) == min(map(len, only)), f"{said}: {only}"

    def _changes(self, line: int, old: Try) -> list[frozenset[Change]]:
        """All that differs between a line now and then, through all that it stands on. What was
        copied from a step is another thing, or what the step was made of is."""
        if line < 0:
            return [frozenset()]
        here, there = self._world.source, old.source
        one, two = here.lines[line], there.lines[line]
        files = sorted(self._world.files_of(line))
        own = {("file", str(f)) for f in files if here.tree[f] != there.tree[f]}
        own |= {("instruction", "")} if one.text != two.text else set()
        own |= {("environment", "")} if one.value != two.value else set()
        found = [frozenset(own | below) for below in self._changes(one.below, old)]
        then = World(self._world.history, source=there)
        if one.kind != "FROM" or self._world.value(one.other) == then.value(one.other):
            return found
        copied = [frozenset({("from", "")}), *self._changes(one.other, old)]
        return [frozenset(changes | more) for changes in found for more in copied]


Change = tuple[str, str]


CHECKS = {"files", "environment", "instruction", "parent", "no-cache"}


def act(world: World, wish: Wish, past: list[Source]) -> int:
    """Do one thing; which line is wanted."""
    if wish.back is not None:
        world.source = past[wish.back % len(past)]
    source, lines = world.source, world.source.lines
    match wish.act:
        case "file":
            tree = list(source.tree)
            tree[wish.what % FILES] += 1
            world.source = replace(source, tree=tuple(tree))
        case "value" | "text":
            at = wish.what % len(lines)
            new = replace(lines[at], **{wish.act: getattr(lines[at], wish.act) + 1})
            world.source = replace(source, lines=(*lines[:at], new, *lines[at + 1 :]))
        case "prune":
            ids = sorted(world.results.values)
            for id in ids[wish.what :: 3]:
                del world.results.values[id]
        case "prune all":
            world.results.values.clear()
    world.stops = -2 if wish.stops is None else wish.stops % len(lines)
    world.fails = wish.fails
    return len(lines) - 1 if wish.target is None else wish.target % len(lines)


async def scenario(root: Path, first: Source, wishes: Sequence[Wish]) -> None:
    world = World(PastBuilds(root), source=first)
    past = [first]
    async with Solver(
        MemoryKeys(), world.results, world.resolve, linger_s=0.0, observer=world
    ) as solver:
        try:
            for wish in [Wish("again", 0), *wishes]:
                target = act(world, wish, past)
                await solver.forget_lost()
                past.append(world.source)
                at = wish.what % len(first.lines) if wish.act == "forced" else None
                await build(world, solver, target, forced=at)
        finally:
            world.history.close()


@settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(first=dockerfiles(), wishes=WISHES)
def test_what_is_said_is_true(
    tmp_path_factory: pytest.TempPathFactory, first: Source, wishes: list[Wish]
) -> None:
    asyncio.run(scenario(tmp_path_factory.mktemp("why"), first, wishes))
