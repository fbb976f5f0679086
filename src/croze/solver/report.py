"""What a vertex tells its watchers, and the log of a job that they read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Protocol

from msgspec.structs import replace

from croze.errors import Range, SourceDetail
from croze.files.redact import redact_text
from croze.solver.contract import Vertex
from croze.status import (
    ProgressGroup,
    StatusEvent,
    VertexLog,
    VertexState,
    VertexStatus,
    VertexWarning,
)


def now() -> datetime:
    return datetime.now(UTC)


class EventSink(Protocol):
    """Takes events in order."""

    def append(self, event: StatusEvent, /) -> None:
        """Add an event. Never blocks."""


class StatusLog:
    """All events of one job, kept for readers who come late.

    A vertex that nobody had to look at, because what depends on it was found in the cache, is
    reported as cached at the moment its consumer starts, as BuildKit does.
    """

    def __init__(self) -> None:
        self._events: list[StatusEvent] = []
        self._latest: dict[str, VertexState] = {}
        self._waiters: list[asyncio.Future[None]] = []
        self._paused: set[asyncio.Future[None]] = set()
        self.closed = False

    def append(self, event: StatusEvent) -> None:
        """Add an event, and wake the readers; nothing once the log is closed."""
        if self.closed:
            return
        if isinstance(event, VertexState):
            self._latest[event.digest] = event
            if event.started is not None and event.completed is None:
                self._mark_inputs(event, event.started)
        self._events.append(event)
        self._wake()

    def close(self) -> None:
        """No more events; what is still running is over."""
        for state in list(self._latest.values()):
            if state.started is not None and state.completed is None:
                self.append(replace(state, completed=now(), error="context canceled"))
        self.closed = True
        self._wake()
        for paused in self._paused:
            _end(paused)

    async def read(self, pause_s: float = 0.0) -> AsyncIterator[Sequence[StatusEvent]]:
        """Batches of events from the first one on, until the job is over; `pause_s` between two,
        but for the last, so that they are few."""
        at = 0
        while True:
            if at < len(self._events):
                batch = self._events[at:]
                at += len(batch)
                yield batch
                if pause_s and not self.closed:
                    await self._pause(pause_s)
            elif self.closed:
                return
            else:
                await self._changed()

    async def _changed(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        await waiter

    async def _pause(self, seconds: float) -> None:
        """Wait so long, or until nothing more comes."""
        loop = asyncio.get_running_loop()
        paused = loop.create_future()
        timer = loop.call_later(seconds, _end, paused)
        self._paused.add(paused)
        try:
            await paused
        finally:
            timer.cancel()
            self._paused.discard(paused)

    def _wake(self) -> None:
        if self._waiters:
            waiters, self._waiters = self._waiters, []
            for waiter in waiters:
                _end(waiter)

    def _mark_inputs(self, state: VertexState, at: datetime) -> None:
        states: list[VertexState] = []
        stack = list(state.inputs)
        while stack:
            latest = self._latest.get(stack.pop())
            if latest is not None and latest.completed is None and not latest.cached:
                cached = replace(latest, started=at, completed=at, cached=True)
                self._latest[latest.digest] = cached
                states.append(cached)
                stack.extend(latest.inputs)
        self._events.extend(reversed(states))


def _end(wait: asyncio.Future[None]) -> None:
    if not wait.done():
        wait.set_result(None)


class VertexReporter:
    """Reports on one vertex to the logs of all jobs that share it; what was said before is
    repeated to a job that joins. This is the `Progress` that ops write to."""

    __slots__ = ("_digest", "_history", "_logs", "state")

    def __init__(self, state: VertexState) -> None:
        self.state = state
        self._digest = state.digest
        self._history: list[StatusEvent] = [state]
        self._logs: list[EventSink] = []

    @classmethod
    def of(cls, vertex: Vertex, group: ProgressGroup | None = None) -> VertexReporter:
        """The reporter of a vertex that has not begun; `group` comes before the vertex's own."""
        inputs = tuple([edge.vertex.digest for edge in vertex.inputs])
        group = group or vertex.progress_group
        return cls(VertexState(vertex.digest, inputs, vertex.name, progress_group=group))

    def join(self, log: EventSink) -> None:
        """Send this log all events so far and from now on. Idempotent."""
        if log not in self._logs:
            self._logs.append(log)
            for event in tuple(self._history):
                log.append(event)

    def leave(self, log: EventSink) -> None:
        """Send this log no more events."""
        if log in self._logs:
            self._logs.remove(log)

    def start(self, *, cached: bool = False) -> None:
        """Say that the vertex begins now, or that it need not: it is `cached`."""
        self._change(now(), None, cached=cached)

    def complete(self, *, error: str = "") -> None:
        """Say that the vertex is over, with the error it has failed with, if any. Credentials in it
        are hidden."""
        was = self.state
        self._change(was.started, now(), cached=was.cached, error=error and redact_text(error))

    def log(self, stream: int, data: bytes) -> None:
        """See `status.Progress.log`."""
        self.append(VertexLog(self._digest, stream, data, now()))

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
        self.append(VertexStatus(id, self._digest, name, current, total, now(), started, completed))

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
        self.append(
            VertexWarning(self._digest, level, short, tuple(detail), url, source, tuple(ranges))
        )

    def _change(
        self,
        started: datetime | None,
        completed: datetime | None,
        *,
        cached: bool,
        error: str = "",
    ) -> None:
        was = self.state
        # As `replace`, which is slow where every vertex of every build comes by.
        self.state = VertexState(
            was.digest,
            was.inputs,
            was.name,
            started,
            completed,
            cached,
            error,
            progress_group=was.progress_group,
        )
        self.append(self.state)

    def append(self, event: StatusEvent) -> None:
        """Tell all; also what happens inside the vertex, in a nested build."""
        self._history.append(event)
        for log in self._logs:
            log.append(event)
