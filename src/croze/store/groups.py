"""One error out of a `TaskGroup`."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator


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
