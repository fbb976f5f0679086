"""The plan of a build: which steps the cache has, and which will run and why (`frontend.plan`).

A subrequest like `frontend.outline`: the answer is metadata, `result.json` for programs and
`result.txt` for people. No step is run; of a client's directories the content is looked at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec
from msgspec import Struct

from croze.aio.threads import in_thread
from croze.api import ops_pb2
from croze.ops.local_sources import is_local_source
from croze.ops.results import RefResult
from croze.solver.contract import Edge, Result, Vertex
from croze.solver.observe import Outcome
from croze.solver.probe import ExpectedVertex
from croze.solver.solver import Job
from croze.why import text
from croze.why.explainer import Explainer
from croze.why.reasons import NEW, PARENT, Reason
from croze.why.record import RecordedBuild, RecordedStep, make_steps
from croze.why.recorder import (
    LISTED_FILES,
    Recorder,
    comparer,
    declared_args,
    keep_lists,
    line_numbers,
)

VERSION = "1.0.0"
CACHED, RUN, FETCH, DEPENDS, UNNEEDED = "cached", "run", "fetch", "depends", "not needed"


class PlatformEdge(Struct, frozen=True):
    """What is to be built for one platform; the key is empty if there is only one result."""

    platform: str
    edge: Edge
    definition: ops_pb2.Definition


class Planned(msgspec.Struct, frozen=True, omit_defaults=True):
    """One step. `status`: `cached`, `run`, `fetch` (a source that is not there yet), `depends`
    (on the output of `depends_on`), or `not needed`."""

    name: str
    status: str
    line: int = 0
    platform: str = ""
    depends_on: tuple[str, ...] = msgspec.field(default=(), name="dependsOn")
    reasons: tuple[Reason, ...] = ()


class PlannedSteps(msgspec.Struct, frozen=True):
    """All steps, inputs first."""

    steps: tuple[Planned, ...]


class Rules:
    """`ProbeWorld` of a plan: of sources, only directories of the client are brought in."""

    def may_run(self, vertex: Vertex) -> bool:
        return is_local_source(vertex)

    def at_hand(self, result: Result) -> bool:
        ref = result.ref if isinstance(result, RefResult) else None
        return ref is None or not ref.lazy


async def plan(recorder: Recorder, job: Job, parts: Sequence[PlatformEdge]) -> Mapping[str, bytes]:
    """The answer to the request: `result.json` and `result.txt`."""
    planned: dict[str, Planned] = {}
    for part in parts:
        for digest, step in await _plan_part(recorder, job, part):
            planned.setdefault(digest, step)
    forecasts = PlannedSteps(tuple(planned.values()))
    return {
        "result.json": msgspec.json.format(msgspec.json.encode(forecasts), indent=2),
        "result.txt": as_text(forecasts).encode("utf-8", "surrogateescape"),
        "version": VERSION.encode(),
    }


async def _plan_part(recorder: Recorder, job: Job, part: PlatformEdge) -> list[tuple[str, Planned]]:
    forecast = await job.probe(part.edge, Rules())
    with recorder.history.holding() as held:
        try:
            facts = [one.facts for one in forecast.expected]
            files = keep_lists(recorder.history.lists, facts, held)
        finally:
            await forecast.release()
        info = recorder.info_of(job)

        def tell() -> list[tuple[str, Planned]]:
            steps = make_steps(facts, line_numbers([part.definition]), files)
            args = declared_args([part.definition])
            build = RecordedBuild(
                info.ref, info.scope, info.file, info.target, 0, steps=steps, args=args
            )
            return list(_tell(recorder, build, forecast.expected, part.platform))

        return await in_thread(tell)


def _tell(
    recorder: Recorder, build: RecordedBuild, expected: Iterable[ExpectedVertex], platform: str
) -> Iterable[tuple[str, Planned]]:
    compare = comparer(recorder.history.lists, LISTED_FILES)
    history = recorder.history
    explainer = Explainer(build, history.earlier(build.scope), compare, history.gone)
    steps = {step.digest: step for step in build.steps}
    for one in expected:
        step = steps.get(one.facts.vertex.digest)
        if step is None or step.internal:
            continue
        status = _status(one, step)
        because = tuple(
            " ".join(vertex.name.split())
            for vertex in one.because
            if vertex.inputs or status == DEPENDS
        )
        reasons: tuple[Reason, ...] = ()
        if status == RUN and because:
            reasons = tuple(Reason(PARENT, name) for name in because)
        elif status == RUN:
            reasons = explainer.explain(step).reasons
        depends = because if status == DEPENDS else ()
        yield step.digest, Planned(step.name, status, step.line, platform, depends, reasons)


def _status(expected: ExpectedVertex, step: RecordedStep) -> str:
    if expected.outcome is Outcome.CACHED:
        return CACHED
    if not expected.needed:
        return UNNEEDED
    if step.kind == "source":
        return FETCH
    return RUN if expected.outcome is Outcome.RAN else DEPENDS


def as_text(plan: PlannedSteps) -> str:
    """The table that people read, and the sums below it."""
    names = Counter(step.name for step in plan.steps)
    rows = [
        (
            text.clip(_told_apart(step) if names[step.name] > 1 else step.name),
            step.status,
            _why(step),
        )
        for step in plan.steps
    ]
    widths = [max(len(row[i]) for row in [("STEP", "CACHE", ""), *rows]) for i in (0, 1)]
    lines = [f"{'STEP':<{widths[0]}}   {'CACHE':<{widths[1]}}   WHY"]
    for step, row in zip(plan.steps, rows, strict=True):
        lines.append(f"{row[0]:<{widths[0]}}   {row[1]:<{widths[1]}}   {row[2]}".rstrip())
        indent = " " * (sum(widths) + 6)
        lines += [f"{indent}{line}" for line in _details(step)]
    return "\n".join([*lines, "", _sums(plan), ""])


def _told_apart(step: Planned) -> str:
    """A name that steps of several platforms have, with the platform: BuildKit doesn't always
    put it there."""
    if not step.platform or step.platform in step.name or not step.name.startswith("["):
        return step.name
    return f"[{step.platform} {step.name[1:]}"


def _why(step: Planned) -> str:
    if step.status == DEPENDS:
        return "on what comes of " + ", ".join(text.place(name) for name in step.depends_on)
    if [reason.kind for reason in step.reasons] == [NEW]:
        return "not built before"
    if _listed(step):
        return "; ".join(text.short([reason]) for reason in step.reasons if not reason.files)
    return text.short(step.reasons)


def _listed(step: Planned) -> bool:
    return any(reason.count > text.SHOWN_FILES for reason in step.reasons)


def _details(step: Planned) -> Iterable[str]:
    """Longer lists of files, below their step."""
    if _listed(step):
        for reason in step.reasons:
            if reason.files:
                yield from text.full(reason)


def _sums(plan: PlannedSteps) -> str:
    count = {s: sum(step.status == s for step in plan.steps) for s in (CACHED, RUN, FETCH, DEPENDS)}
    words = [f"{count[CACHED]} cached", f"{count[RUN]} to run"]
    if count[FETCH]:
        words.append(f"{count[FETCH]} to fetch")
    if count[DEPENDS]:
        words.append(f"{count[DEPENDS]} depending on what others make")
    total = len(plan.steps)
    return f"{total} step{'' if total == 1 else 's'}: {', '.join(words)}"
