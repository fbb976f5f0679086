"""What a build reports while it runs: values, and the sink that ops report to.

Times are aware, UTC. A vertex is reported again whenever it changes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Protocol

from msgspec import Struct

from croze.errors import Range, SourceDetail


class ProgressGroup(Struct, frozen=True):
    """Vertices that a display may fold into one."""

    id: str
    name: str
    weak: bool = False


class VertexState(Struct, frozen=True):
    """A vertex as a whole: whether it has begun, has ended, was cached or has failed. `inputs` are
    digests, `error` is empty while there is none."""

    digest: str
    inputs: tuple[str, ...]
    name: str
    started: datetime | None = None
    completed: datetime | None = None
    cached: bool = False
    error: str = ""
    progress_group: ProgressGroup | None = None


class VertexStatus(Struct, frozen=True):
    """A piece of work inside a vertex, such as one layer's download: `current` of `total`, in bytes
    where it counts bytes; 0 for a total that nobody knows. Told anew under its `id` as it goes
    on."""

    id: str
    vertex: str
    name: str
    current: int
    total: int
    timestamp: datetime
    started: datetime | None = None
    completed: datetime | None = None


class VertexLog(Struct, frozen=True):
    """A piece of a vertex's output; `stream` is 1 (output) or 2 (errors)."""

    vertex: str
    stream: int
    data: bytes
    timestamp: datetime


class VertexWarning(Struct, frozen=True):
    """A warning about a place in the user's file. `short` is its first line, `detail` the rest."""

    vertex: str
    level: int
    short: str
    detail: tuple[str, ...] = ()
    url: str = ""
    source: SourceDetail | None = None
    ranges: tuple[Range, ...] = ()


StatusEvent = VertexState | VertexStatus | VertexLog | VertexWarning


class Progress(Protocol):
    """Where an op reports while it works. Never blocks; safe from the event loop's thread only."""

    def log(self, stream: int, data: bytes) -> None:
        """A piece of output; `stream` is 1 or 2."""

    def status(
        self,
        id: str,
        *,
        current: int = 0,
        total: int = 0,
        name: str = "",
        started: datetime | None = None,
        completed: datetime | None = None,
    ) -> None:
        """A progress bar inside the vertex, by id; bytes where it counts bytes."""

    def warn(
        self,
        short: str,
        *,
        detail: Sequence[str] = (),
        url: str = "",
        level: int = 1,
        source: SourceDetail | None = None,
        ranges: Sequence[Range] = (),
    ) -> None:
        """A warning about a place in the user's file. `short` is its first line, `detail` the
        rest."""


class Silent:
    """A `Progress` for work that nobody watches."""

    def log(self, stream: int, data: bytes) -> None: ...

    def status(
        self,
        id: str,
        *,
        current: int = 0,
        total: int = 0,
        name: str = "",
        started: datetime | None = None,
        completed: datetime | None = None,
    ) -> None: ...

    def warn(
        self,
        short: str,
        *,
        detail: Sequence[str] = (),
        url: str = "",
        level: int = 1,
        source: SourceDetail | None = None,
        ranges: Sequence[Range] = (),
    ) -> None: ...


@asynccontextmanager
async def step(progress: Progress, name: str) -> AsyncIterator[None]:
    """A named piece of work inside a vertex: started on entry, completed on exit, however."""
    started = datetime.now(UTC)
    progress.status(name, name=name, started=started)
    try:
        yield
    finally:
        progress.status(name, name=name, started=started, completed=datetime.now(UTC))
