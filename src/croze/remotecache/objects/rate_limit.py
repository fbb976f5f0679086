"""Waiting together for a service that has had too many requests: whoever is refused makes all
others wait, too, instead of asking on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from croze.errors import CrozeError
from croze.remotecache.objects.actions_errors import TooMany

T = TypeVar("T")


class RateLimit:
    """Waits are doubled from `first_s` up to `limit_s` while there is no success."""

    def __init__(self, first_s: float = 1.0, limit_s: float = 90.0) -> None:
        self._first_s = first_s
        self._limit_s = limit_s
        self._wait_s = 0.0
        self._until_s = 0.0

    async def kept(self, attempt: Callable[[], Awaitable[T]], timeout_s: float) -> T:
        """Attempt it until it is not refused for that reason any more. Raises `TooMany` when the
        service has no time for `timeout_s`."""
        clock = asyncio.get_running_loop().time
        end_s = clock() + timeout_s
        last: TooMany | None = None
        while True:
            await self._wait(end_s, last)
            try:
                result = await attempt()
            except TooMany as err:
                last = err
                if err.after_s is None:
                    self._delay(clock())
                elif err.after_s > end_s - clock():
                    raise err.wrap(
                        f"requested delay {err.after_s:.2f}s exceeds maximum timeout {timeout_s:g}s"
                    ) from None
                else:
                    await asyncio.sleep(err.after_s)
            except CrozeError:
                self._reset()
                raise
            else:
                self._reset()
                return result

    async def _wait(self, end_s: float, last: TooMany | None) -> None:
        clock = asyncio.get_running_loop().time
        while (now := clock()) < self._until_s:
            if self._until_s > end_s:
                error = last or CrozeError("too many requests")
                raise error.wrap("maximum timeout reached") from None
            await asyncio.sleep(self._until_s - now)

    def _delay(self, now_s: float) -> None:
        if now_s >= self._until_s:
            self._wait_s = min(self._limit_s, self._wait_s * 2 or self._first_s)
            self._until_s = now_s + self._wait_s

    def _reset(self) -> None:
        self._wait_s = self._until_s = 0.0
