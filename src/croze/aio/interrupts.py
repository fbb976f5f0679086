"""Runs a command's work so that it ends in good order, however often it is interrupted.

`asyncio.run` cancels the work at the first SIGINT. At the second it raises `KeyboardInterrupt`
wherever Python is just then: in another task, while connections are closed, or while somebody says
what the first has led to. A terminal's keys and those who stop a job may well send several.
"""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Coroutine
from typing import Final, TypeVar

T = TypeVar("T")

TOGETHER_S: Final = 1.0
"""Interrupts that come together are one wish."""
ENOUGH: Final = 3
"""Who wishes so often to leave does, in the middle of whatever it is."""


def run(work: Coroutine[None, None, T]) -> T:
    """Run a coroutine to its end, as `asyncio.run` does. Raises `KeyboardInterrupt` once the work
    has ended because of one; SIGINT is ignored from then on. Where the process does not take SIGINT
    as Python does (it may be ignored), or in another thread than the first, nothing is different
    from `asyncio.run`."""
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return asyncio.run(work)
    interrupts = _Interrupts()
    signal.signal(signal.SIGINT, interrupts.take)
    try:
        return asyncio.run(interrupts.heeding(work))
    except asyncio.CancelledError:
        if interrupts.wishes:
            raise KeyboardInterrupt from None
        raise
    finally:
        signal.signal(
            signal.SIGINT, signal.SIG_IGN if interrupts.wishes else signal.default_int_handler
        )


class _Interrupts:
    """What to do about them."""

    def __init__(self) -> None:
        self.wishes = 0
        self._last_s = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[object] | None = None

    async def heeding(self, work: Coroutine[None, None, T]) -> T:
        """Do the work, unless it is to end already."""
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        if self.wishes:
            self._cancel()
        return await work

    def take(self, _number: int, _frame: object) -> None:
        """A handler of signals."""
        now = time.monotonic()
        if self.wishes and now - self._last_s < TOGETHER_S:
            return
        self._last_s = now
        self.wishes += 1
        if self.wishes == 1 and self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._cancel)
        if self.wishes >= ENOUGH:
            raise KeyboardInterrupt

    def _cancel(self) -> None:
        if self._task is not None and not self._task.cancelling():
            self._task.cancel()
