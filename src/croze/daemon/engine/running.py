"""The builds that are running: each a task of the daemon's, which may outlive its caller.

A build that was begun detached (`api/builds.proto`) goes on when its client leaves. All end when
they are cancelled by ref, and when the daemon stops.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

from msgspec import Struct, field

from croze.aio.parallel import task_group
from croze.errors import Canceled, NotFound

REMEMBERED = 100
"""Detached builds that have ended, of which clients can still ask what came of them."""


class _Ended(Struct, frozen=True):
    """How a build ended: a task that raised would take the others with it."""

    response: Mapping[str, str] = field(default_factory=dict)
    error: BaseException | None = None


class RunningBuilds:
    """The builds that run now, by ref. Opened once, with `open`; those that still run at its end
    are cancelled."""

    def __init__(self) -> None:
        self._group: asyncio.TaskGroup | None = None
        self._tasks: dict[str, asyncio.Task[_Ended]] = {}
        self._detached: dict[str, asyncio.Task[_Ended]] = {}

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Builds can run, inside."""
        async with task_group() as self._group:
            try:
                yield
            finally:
                for task in self._tasks.values():
                    task.cancel()

    async def run(
        self, ref: str, work: Callable[[], Awaitable[Mapping[str, str]]], *, detached: bool
    ) -> Mapping[str, str]:
        """Do a build's work; what it returns. When the caller is cancelled, so is the work, and it
        has ended before this returns; a detached one goes on. Raises what the work raises, and
        `Canceled` if somebody else ended it."""
        assert self._group is not None, "open first"
        task = self._group.create_task(_outcome(work))
        # A ref that runs already is refused by the work itself, and stays who it is.
        if ref not in self._tasks:
            self._tasks[ref] = task
            task.add_done_callback(lambda _: self._tasks.pop(ref, None))
            if detached:
                self._remember(ref, task)
        try:
            return await _answer(task)
        except asyncio.CancelledError:
            if not detached:
                task.cancel()
                await asyncio.wait([task])
            raise

    def has(self, ref: str) -> bool:
        """Whether such a build runs, or is about to."""
        return ref in self._tasks

    async def wait(self, ref: str) -> Mapping[str, str]:
        """What came of a detached build, once it has ended. Raises what it failed with, and
        `NotFound`."""
        task = self._detached.get(ref)
        if task is None:
            raise NotFound(f"no detached build {ref} is running or has ended lately")
        return await _answer(task)

    def _remember(self, ref: str, task: asyncio.Task[_Ended]) -> None:
        self._detached[ref] = task
        ended = [ref for ref, task in self._detached.items() if task.done()]
        for old in ended[:-REMEMBERED]:
            del self._detached[old]

    async def cancel(self, ref: str) -> None:
        """End a build, and return when it has. Raises `NotFound`."""
        task = self._tasks.get(ref)
        if task is None:
            raise NotFound(f"no build {ref} is running")
        task.cancel()
        await asyncio.wait([task])


async def _answer(task: asyncio.Task[_Ended]) -> Mapping[str, str]:
    """Leaving does not cancel the task."""
    await asyncio.wait([task])
    if task.cancelled():  # it had not even begun
        raise Canceled()
    ended = task.result()
    if ended.error is not None:
        raise ended.error
    return ended.response


async def _outcome(work: Callable[[], Awaitable[Mapping[str, str]]]) -> _Ended:
    try:
        return _Ended(await work())
    except asyncio.CancelledError:
        return _Ended(error=Canceled())
    except (Exception, BaseExceptionGroup) as error:  # raised where the work was asked for
        return _Ended(error=error)
