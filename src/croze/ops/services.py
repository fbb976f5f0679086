"""What ops work with: the daemon wires it once and every op gets it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import ParamSpec, TypeVar

from msgspec import Struct, field

from croze.api import ops_pb2
from croze.image.platform import Platform, default_platform
from croze.ops.content import ContentDigests
from croze.ops.logs import LogLimits
from croze.runtime.cdi import Devices
from croze.runtime.contract import Executor
from croze.session.contract import SessionManager
from croze.solver.contract import OpContext, Result
from croze.sources.contract import SourceFactory
from croze.store.contract import RefStore
from croze.workers.pool import Pool
from croze.workers.shares import Shares

P = ParamSpec("P")
T = TypeVar("T")

NestedSolve = Callable[[ops_pb2.Definition, OpContext], Awaitable[Result]]
"""Solves a definition for a build op; the result is the caller's to release."""


class OpServices(Struct, frozen=True):
    """What all ops of a daemon work with. `sources` by scheme (`docker-image`); `parallelism`
    bounds how many ops work at once; `scratch_dir` is for what lives as long as one step (secrets,
    sockets)."""

    refs: RefStore
    executor: Executor
    sources: Mapping[str, SourceFactory]
    sessions: SessionManager
    workers: Pool
    scratch_dir: Path
    contents: ContentDigests
    mounting: Shares
    """Who may have mounted what a worker is to read or change, while it waits for one: a mount
    takes the longer the more there are."""
    solve_nested: NestedSolve | None = None
    platforms: Sequence[Platform] = field(default_factory=lambda: (default_platform(),))
    """What this machine runs by itself."""
    devices: Devices = field(default_factory=lambda: Devices(()))
    parallelism: asyncio.Semaphore | None = None
    log_limits: LogLimits = field(default_factory=LogLimits)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait until the limit of parallel work has room, and hold a place while inside."""
        if self.parallelism is None:
            yield
            return
        async with self.parallelism:
            yield


def source_table(factories: tuple[SourceFactory, ...]) -> dict[str, SourceFactory]:
    """Factories by each of their schemes."""
    return {scheme: factory for factory in factories for scheme in factory.schemes}
