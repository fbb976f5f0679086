"""Things at once, with the first failure as it is."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Iterable
from typing import TypeVar

T = TypeVar("T")


async def all_of(work: Iterable[Awaitable[T]]) -> list[T]:
    """The results, in order. The first failure cancels the rest and is raised itself."""

    async def one(awaitable: Awaitable[T]) -> T:
        return await awaitable

    async with first_error(), asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(each)) for each in work]
    return [task.result() for task in tasks]


@contextlib.asynccontextmanager
async def first_error() -> AsyncIterator[None]:
    """Around `asyncio.TaskGroup`: raise the first failure itself, not the group of all."""
    try:
        yield
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from None
