"""Cancellation at every step: what is begun is cancelled at its first step, then at its second …"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, TypeVar

T = TypeVar("T")


class _Counted(Coroutine[Any, Any, T]):
    """A coroutine whose steps are counted."""

    def __init__(self, inner: Coroutine[Any, Any, T], step: Callable[[], None]) -> None:
        self._inner = inner
        self._step = step

    def send(self, value: object) -> Any:
        self._step()
        return self._inner.send(value)

    def throw(self, *error: Any) -> Any:
        self._step()
        return self._inner.throw(*error)

    def close(self) -> None:
        self._inner.close()

    def __await__(self) -> Generator[Any, Any, T]:
        raise NotImplementedError("it is a task's")


async def cancelled_at(number: int, work: Callable[[], Awaitable[object]]) -> bool:
    """Whether the work came to its end before so many steps, its own and those of the tasks that it
    begins; else it is cancelled there, and waited for. It has to be cancelled then."""
    loop = asyncio.get_running_loop()
    before = loop.get_task_factory()
    steps, task, is_cancelled = 0, None, False

    def step() -> None:
        nonlocal steps, is_cancelled
        steps += 1
        if steps == number and task is not None:
            is_cancelled = task.cancel()

    def factory(loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> asyncio.Task[Any]:
        return asyncio.Task(_Counted(coro, step), loop=loop, **options)

    async def whole() -> None:
        await work()

    loop.set_task_factory(factory)
    try:
        task = loop.create_task(whole())
        await asyncio.wait([task])
    finally:
        loop.set_task_factory(before)
    if not task.cancelled():
        task.result()
        assert not is_cancelled, f"what was cancelled at step {number} went on"
    return not task.cancelled()
