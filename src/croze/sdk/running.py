"""A build while it runs: await it, go through its events, look at it in a notebook."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from typing import TYPE_CHECKING, Generic, TypeVar

from croze.errors import Canceled, CrozeError
from croze.progress.events import BuildWarning, Event, Events
from croze.progress.warnings import Warnings
from croze.sdk import html
from croze.sdk.results import BuildStatus, Result

if TYPE_CHECKING:
    from croze.api import control_pb2
    from croze.progress.display import Display

T = TypeVar("T")
KEPT_EVENTS = 100_000
"""How many events are kept: of a build that says more, the first are forgotten; who iterates as it
runs sees all."""

Work = Callable[["Display"], Awaitable[T]]
"""Builds, and shows the status on the display it gets, which it closes."""


class Build(Generic[T]):
    """A build that has been started.

    `await build` gives its result, and raises `croze.CrozeError` if it failed. `async for event in
    build` gives its events from the first on, in as many places as one likes, and raises at the end
    what awaiting it would. Cancelling whoever awaits it, or iterates, cancels the build.
    """

    def __init__(self, group: asyncio.TaskGroup, work: Work[T], shown: Display) -> None:
        self._told = _Told(shown)
        self._error: BaseException | None = None
        self._result: T | None = None
        self._looked_at = False
        self._task = group.create_task(self._run(work))

    async def _run(self, work: Work[T]) -> None:
        try:
            self._result = await work(self._told)
        except asyncio.CancelledError:
            self._error = Canceled("build canceled")
        except (Exception, BaseExceptionGroup) as error:  # raised where it is awaited
            self._error = error
        finally:
            self._told.end()

    def __await__(self) -> Generator[object, None, T]:
        return self._ended().__await__()

    async def __aiter__(self) -> AsyncIterator[Event]:
        try:
            async for event in self._told.all():
                yield event
        except asyncio.CancelledError:
            await self.cancel()
            raise
        await self._ended()

    async def cancel(self) -> None:
        """End the build, and return when it has ended. Nothing if it has already."""
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _ended(self) -> T:
        self._looked_at = True
        try:
            await asyncio.wait([self._task])
        except asyncio.CancelledError:  # of who waits, be the build at its end by now
            await self.cancel()
            raise
        if self._task.cancelled():  # it had not even begun
            raise Canceled("build canceled")
        if self._error is not None:
            raise self._error
        assert self._result is not None
        return self._result

    @property
    def status(self) -> BuildStatus:
        """What has come of the build so far."""
        if not self._task.done():
            return BuildStatus.RUNNING
        if self._error is None and not self._task.cancelled():
            return BuildStatus.COMPLETED
        canceled = isinstance(self._error, Canceled) or self._task.cancelled()
        return BuildStatus.CANCELED if canceled else BuildStatus.FAILED

    @property
    def warnings(self) -> tuple[BuildWarning, ...]:
        """The warnings so far."""
        return tuple(self._told.found)

    @property
    def settled(self) -> bool:
        """Whether the build has ended, and nobody needs to be told how."""
        return self._task.done() and (self._looked_at or self._error is None)

    async def finish(self) -> None:
        """Wait for the build's end; raise what it failed with if nobody has looked at that."""
        await asyncio.wait([self._task])
        if not self._looked_at:
            await self._ended()

    def _repr_html_(self) -> str:
        ending = ""
        if isinstance(self._error, CrozeError):
            ending = html.message(str(self._error))
        elif isinstance(self._result, Result):
            ending = self._result._repr_html_()
        return html.steps_html(self._told.trace, ending)


class _Told:
    """A display that keeps events, and passes everything on."""

    def __init__(self, shown: Display) -> None:
        self._shown = shown
        self._events = Events()
        self._kept: list[Event] = []
        self._forgotten = 0
        self._news = asyncio.Event()
        self._ended = False
        self.warnings: Warnings = shown.warnings
        self.found: list[BuildWarning] = []
        self.trace = self._events.trace

    def update(self, status: control_pb2.StatusResponse) -> None:
        self._shown.update(status)
        # Whoever draws nothing keeps no warnings either.
        self.warnings.add(status.warnings)
        for event in self._events.take(status):
            self._kept.append(event)
            if isinstance(event, BuildWarning):
                self.found.append(event)
        if len(self._kept) > 2 * KEPT_EVENTS:
            del self._kept[:KEPT_EVENTS]
            self._forgotten += KEPT_EVENTS
        self._news.set()

    def refresh(self) -> None:
        self._shown.refresh()

    def close(self) -> None:
        self._shown.close()

    def end(self) -> None:
        self._ended = True
        self._news.set()

    async def all(self) -> AsyncIterator[Event]:
        at = 0
        while True:
            at = max(at, self._forgotten)
            if at - self._forgotten < len(self._kept):
                yield self._kept[at - self._forgotten]
                at += 1
            elif self._ended:
                return
            else:
                self._news.clear()
                await self._news.wait()
