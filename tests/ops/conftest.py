"""Fakes of the services that ops use, over plain directories."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import ParamSpec, TypeVar

import pytest

from croze.aio.threads import in_thread
from croze.fs.mount import enter_private_namespace
from croze.job_values import JobKey
from croze.ops.content import ContentDigests
from croze.rpc.channel import Channel
from croze.session.manager import Sessions
from croze.session.providers.secrets import SecretSource, SecretsProvider
from croze.session.serve import lend
from croze.solver.contract import Vertex
from croze.status import Progress
from croze.workers.shares import Shares
from tests.ops.world import World, make_world
from tests.runtime.conftest import make_rootfs
from tests.session.conftest import Daemon

P = ParamSpec("P")
T = TypeVar("T")


class ThreadWorkers:
    """`Workers` in this process."""

    async def run(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await in_thread(fn, *args, **kwargs)


class RecordingProgress:
    """Keeps what is logged."""

    def __init__(self) -> None:
        self.logs: list[tuple[int, bytes]] = []

    def log(self, stream: int, data: bytes) -> None:
        self.logs.append((stream, data))

    def status(self, id: str, **_: object) -> None: ...

    def warn(self, short: str, **_: object) -> None: ...

    def text(self, stream: int) -> str:
        return b"".join(d for s, d in self.logs if s == stream).decode()


class FakeContext:
    """`OpContext` of one job."""

    def __init__(self, vertex: Vertex, progress: Progress | None = None) -> None:
        self.vertex = vertex
        self.progress: Progress = progress or RecordingProgress()

    def sessions(self) -> Sequence[str]:
        return ("session",)

    def job_values(self, key: JobKey[T]) -> Sequence[T]:
        return ()


class TreeRef:
    """Just enough of an immutable ref: a directory that is there already."""

    def __init__(self, path: Path, side: Path) -> None:
        self.path = path
        self.side = side
        self.id = path.name
        self.mounted_times = 0
        self.unwritten = False

    @asynccontextmanager
    async def mounted(self, *, readonly: bool, sessions: Sequence[str] = ()) -> AsyncIterator[Path]:
        assert readonly
        self.mounted_times += 1
        yield self.path

    def side_file(self, name: str) -> Path:
        self.side.mkdir(exist_ok=True)
        return self.side / name

    async def materialize(self, sessions: Sequence[str] = ()) -> None: ...

    async def release(self) -> None: ...


@pytest.fixture(scope="session")
def own_mounts() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    enter_private_namespace()


@pytest.fixture
async def world(tmp_path: Path, own_mounts: None) -> AsyncIterator[World]:
    """Everything for real, with a client that lends a secret."""
    lent = [SecretsProvider([SecretSource("token", value=b"hush\n")])]
    base = make_rootfs(tmp_path / "busybox")
    async with (
        Daemon(tmp_path, Sessions()) as daemon,
        Channel(daemon.address) as channel,
        lend(channel, lent, name="test") as session,
        make_world(tmp_path, {"busybox": base}, daemon.sessions, [session.id]) as made,
    ):
        yield made


@pytest.fixture
def contents() -> ContentDigests:
    return ContentDigests(ThreadWorkers(), Shares(2, 8))
