"""A bridge over directories: local sources by name, no store, no container."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from croze import llb
from croze.api import ops_pb2, worker_pb2
from croze.cachekeys.contract import StoredResult
from croze.errors import CrozeError, NotFound
from croze.gateway.bridge import BuildBridge, open_bridge
from croze.gateway.contract import BridgeServices, Frontend
from croze.gateway.imports import CacheOpener
from croze.image.platform import Platform
from croze.ops.load import LoadedOp
from croze.ops.results import RefResult
from croze.solver.contract import CacheMap, Op, OpContext, Result, Vertex
from croze.solver.solver import Job, Solver
from croze.sources.facts import FactsWanted, SourceFacts
from croze.sources.images import ResolvedConfig
from croze.store.contract import ImmutableRef
from croze.workers.shares import current_share
from tests.support.memory_keys import MemoryKeys

AMD64 = Platform("amd64", "linux")


@dataclass
class DirRef:
    """As much of an `ImmutableRef` as the bridge uses."""

    world: World
    path: Path

    def __post_init__(self) -> None:
        self.world.handles += 1

    @property
    def id(self) -> str:
        return str(self.path)

    def clone(self) -> DirRef:
        return DirRef(self.world, self.path)

    async def release(self) -> None:
        self.world.handles -= 1

    @asynccontextmanager
    async def mounted(self, *, readonly: bool, sessions: Sequence[str] = ()) -> AsyncIterator[Path]:
        assert readonly
        yield self.path


@dataclass
class World:
    """`dirs` are the local sources; `calls` what was asked of images."""

    dirs: dict[str, Path] = field(default_factory=dict)
    frontends: dict[str, Frontend] = field(default_factory=dict)
    images: dict[str, bytes] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    ran: list[str] = field(default_factory=list)
    shares: list[str] = field(default_factory=list)
    """Whose work it was, what has run."""
    handles: int = 0
    caches: CacheOpener | None = None

    @asynccontextmanager
    async def bridge(self) -> AsyncIterator[tuple[BuildBridge, Job]]:
        """A job with its bridge; nothing may be left behind."""
        async with (
            Solver(MemoryKeys(), Results(self), self.resolve, linger_s=0) as solver,
            solver.job("build", sessions=["client"]) as job,
            open_bridge(self.services(), job, session="client") as bridge,
        ):
            yield bridge, job
        assert self.handles == 0

    def services(self) -> BridgeServices:
        return BridgeServices(
            frontends=self.frontends,
            images=Images(self),
            platforms=[AMD64],
            worker=lambda: worker_pb2.WorkerRecord(ID="worker"),
            source_meta=source_meta,
            caches=self.caches,
        )

    def resolve(self, vertex: Vertex) -> Op:
        loaded = vertex.op
        assert isinstance(loaded, LoadedOp)
        return LocalOp(self, loaded.op.source.identifier.removeprefix("local://"))


class LocalOp:
    def __init__(self, world: World, name: str) -> None:
        self._world = world
        self._name = name

    async def cache_map(self, ctx: OpContext, index: int) -> CacheMap:
        return CacheMap(f"random:{self._name}")

    async def execute(self, ctx: OpContext, inputs: Sequence[Result]) -> Sequence[Result]:
        self._world.ran.append(self._name)
        self._world.shares.append(current_share())
        if self._name not in self._world.dirs:
            raise CrozeError(f"no local directory {self._name}")
        ref = DirRef(self._world, self._world.dirs[self._name])
        return [RefResult(cast(ImmutableRef, ref))]


class Results:
    def __init__(self, world: World) -> None:
        self._world = world

    def save(self, result: Result) -> StoredResult:
        return StoredResult(result.id, datetime.now(UTC))

    def exists(self, id: str) -> bool:
        return True

    async def load(self, id: str, *, uses: bool = True) -> RefResult:
        return RefResult(cast(ImmutableRef, DirRef(self._world, Path(id))))


class Images:
    def __init__(self, world: World) -> None:
        self._world = world

    async def resolve_config(
        self, ref: str, platform: Platform | None, mode: str, sessions: Sequence[str]
    ) -> ResolvedConfig:
        self._world.calls.append(f"{ref} {mode} {list(sessions)}")
        if ref not in self._world.images:
            raise NotFound(f"{ref}: not found")
        return ResolvedConfig(ref, "sha256:" + "1" * 64, self._world.images[ref])

    async def resolve_layout_config(
        self,
        ref: str,
        platform: Platform | None,
        *,
        store: str,
        session: str,
        sessions: Sequence[str],
    ) -> ResolvedConfig:
        self._world.calls.append(f"{ref} {store} {session}")
        return ResolvedConfig(ref, "sha256:" + "2" * 64, b"{}")


async def source_meta(source: ops_pb2.SourceOp, ctx: OpContext, facts: FactsWanted) -> SourceFacts:
    return SourceFacts(last_modified=5, filename="f", checksum="sha256:" + "3" * 64)


def local(name: str) -> ops_pb2.Definition:
    """The definition of a local source."""
    return llb.local(name).marshal()
