"""Watches builds: warns of steps that miss the cache, and records what became of all of them.

The work is done when the build is over, or beside it in a thread; a build never fails for it.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import ExitStack, asynccontextmanager
from functools import cached_property
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from croze.aio.threads import in_thread, start_in_thread
from croze.api import ops_pb2
from croze.fs.content.changed import Changes, changed_files
from croze.fs.content.checksum import Query
from croze.job_values import JobKey
from croze.solver.contract import OpContext, Vertex
from croze.solver.observe import VertexFacts
from croze.solver.solver import Job
from croze.status import VertexWarning
from croze.why import text
from croze.why.explainer import ExplainedStep, Explainer, explain
from croze.why.history import FileLists, PastBuilds
from croze.why.reasons import Reason
from croze.why.record import Files, RecordedBuild, make_steps, missed

log = logging.getLogger(__name__)

LISTED_FILES: Final = 20
_OBVIOUS: Final = frozenset({"instruction", "no-cache", "new", "parent", "uncacheable", "platform"})
"""Whoever changed the Dockerfile or gave a flag knows: no warning."""
_WARNING_LEVEL: Final = 1
_MOST_WARNINGS: Final = 8
"""How many warnings one build gets."""
_TURN: Final = 200
"""Steps that are looked at before others get their turn on the event loop."""
_LATER_S: Final = 0.1
_FEW: Final = 100
"""Steps that are recorded in no time."""


class BuildInfo(Struct, frozen=True):
    """What a build is of. `scope` is equal for builds of the same Dockerfile and context."""

    ref: str
    scope: str
    file: str
    target: str
    warn: bool = True


Definitions = Callable[[], Iterable[ops_pb2.Definition]]


class _Watched(Struct, frozen=True):
    """A job's value."""

    watch: BuildWatch
    definitions: Definitions


_WATCHED: Final = JobKey[_Watched]("why")


class BuildWatch:
    """One build that is being watched."""

    def __init__(
        self, history: PastBuilds, job: Job, describe: Callable[[], BuildInfo], held: set[str]
    ) -> None:
        """`describe` is asked once, late. Into `held` go names of lists of files, which stay while
        the build runs."""
        self._history = history
        self._job = job
        self._describe = describe
        self._held = held
        self._missed: dict[str, None] = {}
        self._warnings: list[asyncio.Future[ExplainedStep | None]] = []

    @cached_property
    def info(self) -> BuildInfo:
        """Asked for late: the client's session may come after its request."""
        return self._describe()

    @property
    def ran(self) -> bool:
        """Whether anything but a source ran."""
        return bool(self._missed)

    async def close(
        self, definitions: Iterable[ops_pb2.Definition], *, failed: bool
    ) -> tuple[Callable[[], None], int]:
        """Wait for warnings; returns what is left to do, in any thread, to record the build, and
        of how many steps."""
        if self._warnings:
            await asyncio.wait(self._warnings)
        origins, facts = list(definitions), list[VertexFacts]()
        for one in self._job.facts():
            facts.append(one)
            if len(facts) % _TURN == 0:
                await asyncio.sleep(0)
        _ = self.info  # the session that it is asked of is still there
        files = self._keep(facts)

        def record() -> None:
            build = self._build(facts, origins, files, failed=failed)
            if any(not step.internal for step in build.steps):
                self._history.add(build)

        return record, len(facts)

    def _build(
        self,
        facts: Sequence[VertexFacts],
        definitions: Sequence[ops_pb2.Definition],
        files: Files,
        *,
        failed: bool = False,
    ) -> RecordedBuild:
        info, now = self.info, time.time_ns() // 1000
        steps = make_steps(facts, line_numbers(definitions), files)
        args = declared_args(definitions)
        return RecordedBuild(info.ref, info.scope, info.file, info.target, now, failed, steps, args)

    def _keep(self, facts: Iterable[VertexFacts]) -> Files:
        """Keep the lists of files that steps used: the next build may change them."""
        return keep_lists(self._history.lists, facts, self._held)

    # Warnings

    def missed(self, facts: VertexFacts, definitions: Definitions) -> None:
        """See `observe.Observer`."""
        vertex = facts.vertex
        if not vertex.inputs:
            return
        follows = any(item.edge.vertex.digest in self._missed for item in facts.inputs)
        self._missed[vertex.digest] = None
        if follows or vertex.ignore_cache or not self.info.warn:
            return
        if len(self._warnings) >= _MOST_WARNINGS:
            return
        self._start_warning(vertex, list(definitions()))

    def _start_warning(self, vertex: Vertex, definitions: Sequence[ops_pb2.Definition]) -> None:
        now, history = list(self._job.facts()), self._history
        files = self._keep(now)

        def find() -> ExplainedStep | None:
            build = self._build(now, definitions, files)
            for step in build.steps:
                if step.digest == vertex.digest and not step.internal:
                    earlier = history.earlier(build.scope)
                    return explain(step, build, earlier, comparer(history.lists), history.gone)
            return None

        future = start_in_thread(find)
        future.add_done_callback(lambda future: self._warn(vertex, future))
        self._warnings.append(future)

    def _warn(self, vertex: Vertex, future: asyncio.Future[ExplainedStep | None]) -> None:
        if future.cancelled():
            return
        error = future.exception()
        if error is not None:
            log.debug("no reason found for %s: %s", vertex.name, error)
            return
        explanation = future.result()
        if explanation is not None and explanation.compared_ref:
            reasons = [r for r in explanation.reasons if r.kind not in _OBVIOUS]
            if reasons:
                self._job.emit(_warning(vertex, reasons))


def _warning(vertex: Vertex, reasons: Sequence[Reason]) -> VertexWarning:
    detail = [line for reason in reasons for line in text.full(reason)]
    name = text.clip(" ".join(vertex.name.split()), 60)
    return VertexWarning(
        vertex.digest,
        _WARNING_LEVEL,
        f"cache miss: {name}: {text.short(reasons)}",
        tuple(detail),
    )


def keep_lists(lists: FileLists, facts: Iterable[VertexFacts], held: set[str]) -> Files:
    """Keep the lists of files of all inputs that count by content; their names go into `held`."""
    list_names: dict[tuple[str, int], str] = {}
    for one in facts:
        for number, item in enumerate(one.inputs):
            if item.content and item.result is not None:
                name = lists.keep(item.result)
                if name:
                    held.add(name)
                    list_names[one.vertex.digest, number] = name
    return list_names


def comparer(lists: FileLists, limit: int = LISTED_FILES) -> Callable[..., Changes | None]:
    """Compares kept lists by name."""

    def compare(old: str, new: str, queries: Sequence[Query]) -> Changes | None:
        return changed_files(str(lists.path(old)), str(lists.path(new)), queries, limit)

    return compare


class Recorder:
    """The solver's observer. One per daemon."""

    def __init__(self, history: PastBuilds, *, warnings: bool = True, enabled: bool = True) -> None:
        """`enabled`: whether anything is recorded, or warned of."""
        self.history = history
        self._enabled = enabled
        self._warnings = warnings
        self._running: set[asyncio.Future[None]] = set()
        self._waiting: list[Callable[[], None]] = []
        self._timer: asyncio.TimerHandle | None = None

    def missed(self, facts: VertexFacts, ctx: OpContext) -> None:
        """See `observe.Observer`."""
        for watched in ctx.job_values(_WATCHED):
            try:
                watched.watch.missed(facts, watched.definitions)
            except Exception:
                log.exception("a miss could not be noted")

    def lost(self, results: Sequence[str]) -> None:
        """See `observe.Observer`."""
        if self._enabled:
            try:
                self.history.lost(results, time.time_ns() // 1000)
            except sqlite3.Error as error:
                log.warning("lost results could not be noted: %s", error)

    @asynccontextmanager
    async def watching(
        self, job: Job, describe: Callable[[], BuildInfo], definitions: Definitions
    ) -> AsyncIterator[None]:
        """Record what `job` does while inside. `definitions`: what is built, for line numbers."""
        if not self._enabled:
            yield
            return
        with ExitStack() as stack:
            held = stack.enter_context(self.history.holding())
            watch = BuildWatch(self.history, job, self._with_wish(describe), held)
            job.set_value(_WATCHED, _Watched(watch, definitions))
            failed = True
            try:
                yield
                failed = False
            finally:
                await self._finish(watch, definitions, stack.pop_all(), failed=failed)

    def _with_wish(self, describe: Callable[[], BuildInfo]) -> Callable[[], BuildInfo]:
        def described() -> BuildInfo:
            info = describe()
            return replace(info, warn=info.warn and self._warnings)

        return described

    async def _finish(
        self, watch: BuildWatch, definitions: Definitions, held: ExitStack, *, failed: bool
    ) -> None:
        """Record at once if something ran. Else nobody waits for it: it is done a little later."""
        try:
            record, steps = await watch.close(definitions(), failed=failed)
        except BaseException:
            held.close()
            raise

        def work() -> None:
            with held:
                try:
                    record()
                except (sqlite3.Error, OSError) as error:
                    log.warning("a build could not be recorded: %s", error)
                except Exception:
                    log.exception("a build could not be recorded")

        if not watch.ran:
            self._waiting.append(work)
            if self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(_LATER_S, self._start_waiting)
        elif steps <= _FEW:
            work()  # quicker than a thread is
        else:
            await asyncio.wait({self._start(work)})

    def _start(self, work: Callable[[], None]) -> asyncio.Future[None]:
        future = start_in_thread(work)
        self._running.add(future)
        future.add_done_callback(self._running.discard)
        return future

    def _start_waiting(self) -> None:
        self._timer = None
        waiting, self._waiting = self._waiting, []
        for work in waiting:
            self._start(work)

    async def close(self) -> None:
        """Record what waits to be, and close the history."""
        if self._timer is not None:
            self._timer.cancel()
        self._start_waiting()
        if self._running:
            await asyncio.wait(set(self._running))
        self.history.close()

    def info_of(self, job: Job) -> BuildInfo:
        """What a watched job builds."""
        for watched in job.values_of(_WATCHED):
            return watched.watch.info
        return BuildInfo(job.id, "", "", "")

    async def explain(
        self, ref: str = "", *, limit: int = LISTED_FILES
    ) -> tuple[RecordedBuild, list[ExplainedStep]] | None:
        """A recorded build (the latest without `ref`) and why its steps missed, in order; None if
        there is none."""
        self._start_waiting()
        if self._running:
            await asyncio.wait(set(self._running))
        return await in_thread(self._explain, ref, limit)

    def _explain(self, ref: str, limit: int) -> tuple[RecordedBuild, list[ExplainedStep]] | None:
        build = self.history.find(ref) if ref else self.history.latest()
        if build is None:
            return None
        earlier = self.history.earlier(build.scope, before=build.ref)
        compare = comparer(self.history.lists, limit)
        explainer = Explainer(build, earlier, compare, self.history.gone)
        return build, [
            explainer.explain(step) for step in build.steps if missed(step) and not step.internal
        ]


def scope_of(shared_key: str, context: str, file: str) -> str:
    """Equal for builds of the same Dockerfile and context, as far as a client tells."""
    return hashlib.sha256("\0".join((shared_key, context, file)).encode()).hexdigest()[:32]


def line_numbers(definitions: Iterable[ops_pb2.Definition]) -> dict[str, int]:
    """The first line of each op, by its digest."""
    numbers: dict[str, int] = {}
    for definition in definitions:
        for digest, places in definition.Source.locations.items():
            lines = [r.start.line for place in places.locations for r in place.ranges]
            if lines:
                numbers[digest] = min(lines)
    return numbers


def declared_args(definitions: Iterable[ops_pb2.Definition]) -> tuple[str, ...]:
    """Names that the Dockerfiles declare with ARG."""
    names: dict[str, None] = {}
    for definition in definitions:
        for info in definition.Source.infos:
            for line in info.data.decode("utf-8", "replace").splitlines():
                words = line.split()
                if len(words) > 1 and words[0].upper() == "ARG":
                    names.update((word.partition("=")[0], None) for word in words[1:])
    return tuple(names)
