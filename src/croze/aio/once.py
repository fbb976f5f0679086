"""Something that is computed at most once, by the first of those who ask."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class _Value(Generic[T]):
    """What was computed."""

    __slots__ = ("value",)

    def __init__(self, value: T) -> None:
        self.value = value


class Once(Generic[T]):
    """Remembers the value or the error, and lets go of `make`, which often knows who asks. When the
    one who computes is cancelled, the next in line takes over."""

    def __init__(self, make: Callable[[], Awaitable[T]]) -> None:
        self._make: Callable[[], Awaitable[T]] | None = make
        self._outcome: asyncio.Future[_Value[T] | Exception] | None = None
        """An error is a result like another: a future that has raised knows all that led to it."""

    @property
    def value(self) -> T | None:
        """What was computed, if it was."""
        outcome = self._outcome
        if outcome is None or not outcome.done() or outcome.cancelled():
            return None
        result = outcome.result()
        return result.value if isinstance(result, _Value) else None

    async def get(self) -> T:
        """The value, computed if it is not there yet. Raises what `make` has raised."""
        while True:
            if self._outcome is None or self._outcome.cancelled():
                return await self._compute()
            done, _ = await asyncio.wait([self._outcome])
            outcome = done.pop()
            if not outcome.cancelled():
                return _unwrap(outcome.result())

    async def _compute(self) -> T:
        assert self._make is not None
        outcome = self._outcome = asyncio.get_running_loop().create_future()
        try:
            value = await self._make()
        except Exception as err:
            self._make = None
            outcome.set_result(err)
            raise
        except BaseException:
            outcome.cancel()
            raise
        self._make = None
        outcome.set_result(_Value(value))
        return value


def _unwrap(result: _Value[T] | Exception) -> T:
    if isinstance(result, _Value):
        return result.value
    raise result.with_traceback(None)  # which would grow with each who asks
