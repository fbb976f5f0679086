"""All rooms below the daemon, for real: a store, a runtime, workers, sessions and a solver.

The base filesystem comes from the machine's static busybox through a source of its own scheme."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from croze.fs.copy.copy import copy
from croze.fs.copy.request import CopyRequest
from croze.llb.state import State
from croze.ops.content import ContentDigests
from croze.ops.failed import FAILED_STEPS, FailedSteps
from croze.ops.load import LoadOptions, load
from croze.ops.resolver import LoadedOpResolver
from croze.ops.results import RefResults, ref_of
from croze.ops.services import OpServices
from croze.runtime.oci import OciConfig, OciExecutor
from croze.session.contract import SessionManager
from croze.solver.solver import Job, Solver
from croze.sources.contract import SourceContext, SourceKey
from croze.sources.materials import LocalMaterial, UsedMaterial
from croze.sources.request import SourceRequest
from croze.status import VertexLog, VertexState
from croze.store.contract import ImmutableRef
from croze.store.open import Store, open_store
from croze.workers.pool import WorkerPool
from croze.workers.shares import Shares
from tests.support.memory_keys import MemoryKeys


class TreeSource:
    """`tree://NAME`: a directory's content."""

    def __init__(self, store: Store, path: Path) -> None:
        self._store = store
        self._path = path

    async def key(self, ctx: SourceContext, index: int) -> SourceKey:
        return SourceKey(f"tree:{self._path}")

    async def snapshot(self, ctx: SourceContext) -> ImmutableRef | None:
        mutable = await self._store.refs.new(None)
        async with mutable.mounted(readonly=False) as path:
            copy(
                CopyRequest(
                    src_root=str(self._path),
                    src="/",
                    dst_root=str(path),
                    dst="/",
                    dir_copy_contents=True,
                )
            )
        return await mutable.commit()

    def used(self, pin: str) -> UsedMaterial:
        return UsedMaterial(LocalMaterial(self._path.name))


@dataclass
class TreeSources:
    store: Store
    trees: dict[str, Path]
    schemes: tuple[str, ...] = ("tree",)

    def open(self, request: SourceRequest) -> TreeSource:
        name = request.identifier.removeprefix("tree://")
        return TreeSource(self.store, self.trees[name])


@dataclass
class World:
    """`build` solves a state and reads files of the result."""

    store: Store
    services: OpServices
    solver: Solver
    trees: dict[str, Path]
    sessions: list[str] = field(default_factory=list)
    logs: list[tuple[int, bytes]] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    """Of vertices that were executed."""
    failed: FailedSteps | None = None
    """Set to keep what failed steps leave."""
    count: int = 0

    @asynccontextmanager
    async def built(
        self, state: State, options: LoadOptions | None = None
    ) -> AsyncIterator[ImmutableRef | None]:
        self.count += 1
        edge = await load(state.marshal(), options)
        async with self.solver.job(f"job-{self.count}", sessions=self.sessions) as job:
            if self.failed is not None:
                job.set_value(FAILED_STEPS, self.failed)
            try:
                solved = await job.build(edge)
            finally:
                await self._follow(job)
            try:
                yield ref_of(solved.result)
            finally:
                await solved.release()

    async def _follow(self, job: Job) -> None:
        """What was reported so far."""
        job.discard()
        async for batch in job.events():
            for event in batch:
                if isinstance(event, VertexLog):
                    self.logs.append((event.stream, event.data))
                elif isinstance(event, VertexState) and event.completed and not event.cached:
                    self.names.append(event.name)

    async def files(self, state: State, options: LoadOptions | None = None) -> Mapping[str, str]:
        """Texts of all regular files of the result, by path."""
        async with self.built(state, options) as ref:
            if ref is None:
                return {}
            async with ref.mounted(readonly=True) as root:
                return {
                    str(p.relative_to(root)): p.read_text("utf-8", "replace")
                    for p in sorted(root.rglob("*"))
                    if p.is_file() and not p.is_symlink() and p.name != "busybox"
                }

    def output(self, stream: int = 1) -> str:
        return b"".join(d for s, d in self.logs if s == stream).decode()


@asynccontextmanager
async def make_world(
    root: Path, trees: Mapping[str, Path], sessions: SessionManager, ids: Sequence[str] = ()
) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(WorkerPool(2))
        store = await open_store(root / "store", pool)
        stack.push_async_callback(store.close)
        sources = TreeSources(store, dict(trees))
        executor = OciExecutor(OciConfig(root / "run", private_mounts=True))
        mounting = Shares(2, 8)
        services = OpServices(
            refs=store.refs,
            executor=executor,
            sources={"tree": sources},
            sessions=sessions,
            workers=pool,
            scratch_dir=root / "scratch",
            contents=ContentDigests(pool, mounting),
            mounting=mounting,
        )
        solver = Solver(
            MemoryKeys(), RefResults(store.refs), LoadedOpResolver(services), linger_s=0.0
        )
        await stack.enter_async_context(solver)
        yield World(store, services, solver, sources.trees, list(ids))
    assert [p for name in ("bundle", "pid") for p in (root / "run" / name).iterdir()] == []
    assert [p.name for p in (root / "scratch").glob("*")] in ([], ["empty"])
