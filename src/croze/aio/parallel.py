"""Runs several things at once, and chooses which of their failures is raised."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Coroutine, Iterable
from typing import TypeVar

from croze.errors import Canceled, CrozeError

T = TypeVar("T")


async def all_of(work: Iterable[Awaitable[T]]) -> list[T]:
    """The results, in order. The first failure cancels the rest and is raised itself."""

    async def one(awaitable: Awaitable[T]) -> T:
        return await awaitable

    async with first_error(), asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(each)) for each in work]
    return [task.result() for task in tasks]


class Meanwhile:
    """Begins work that goes on beside a block: see `meanwhile`."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self._group = group
        self._tasks: set[asyncio.Task[object]] = set()
        self._is_over = False

    def begin(self, work: Coroutine[object, object, object]) -> None:
        """Begin this work, which must not fail; not if the block is over already."""
        if self._is_over:
            work.close()
            return
        task = self._group.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def stop(self) -> None:
        self._is_over = True
        for task in self._tasks:
            task.cancel()


@contextlib.asynccontextmanager
async def meanwhile() -> AsyncIterator[Meanwhile]:
    """What is begun in the block may be of use to it: what is not done at its end is cancelled, and
    over when this is left. What the block raises comes out as it is."""
    async with task_group() as group:
        beside = Meanwhile(group)
        try:
            yield beside
        finally:
            beside.stop()


@contextlib.asynccontextmanager
async def task_group() -> AsyncIterator[asyncio.TaskGroup]:
    """Tasks beside a block, all over when this is left. What the block raises comes out as it is,
    and cancels none of them: what makes them end belongs into its `finally`. A task that fails
    cancels the block and the others, and its failure comes out (see `first_error`)."""
    failed: BaseException | None = None
    async with first_error(), asyncio.TaskGroup() as group:
        try:
            yield group
        except BaseException as error:  # raised below: not to come out as a group
            failed = error
    if failed is not None:
        raise failed


@contextlib.asynccontextmanager
async def first_error() -> AsyncIterator[None]:
    """Around `asyncio.TaskGroup`: raise one failure itself (`root_cause`), not the group of all."""
    try:
        yield
    except BaseExceptionGroup as group:
        raise root_cause(group) from None


def root_cause(error: BaseException) -> BaseException:
    """The one error of an exception group that a user should see: a `CrozeError` if there is one,
    else the first that is not a mere cancellation. Any other error as it is."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    leaves = [root_cause(inner) for inner in error.exceptions]
    return min(leaves, key=_noise)


def _noise(error: BaseException) -> int:
    if isinstance(error, Canceled | asyncio.CancelledError):
        return 2
    return 0 if isinstance(error, CrozeError) else 1
