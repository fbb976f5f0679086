"""One piece of asynchronous work, shared by all who want it at the moment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, Protocol, TypeVar

from msgspec import Struct

from croze.errors import Canceled

T = TypeVar("T")


class Failure(Struct, frozen=True):
    """Work that raised."""

    error: Exception


class Spawn(Protocol):
    """Starts a task that someone awaits."""

    def __call__(self, work: Coroutine[Any, Any, T], /) -> asyncio.Task[T]:
        """Start `work` as a task."""


class Work(Generic[T]):
    """Starts with its first user and is cancelled with its last one.

    A user who comes while the work is being cancelled waits for that to end and gets a fresh start.
    Outcomes are told by callback, on the event loop, never from within `want` or `drop`.
    """

    __slots__ = ("_canceling", "_done", "_dropped", "_spawn", "_start", "_task", "users")

    def __init__(
        self,
        spawn: Spawn,
        start: Callable[[], Coroutine[Any, Any, T]],
        on_outcome: Callable[[T | Failure], None],
        dropped: Callable[[], None] | None = None,
        users: set[object] | None = None,
    ) -> None:
        """`users`: where to keep who wants it, for others to see."""
        self.users = set() if users is None else users
        self._spawn = spawn
        self._start = start
        self._done = on_outcome
        self._dropped = dropped
        self._task: asyncio.Task[T | Failure] | None = None
        self._canceling = False

    @property
    def running(self) -> bool:
        return self._task is not None

    def want(self, user: object) -> None:
        """Begin, unless it is under way already. Idempotent for each user."""
        self.users.add(user)
        if self._task is None:
            self._begin()

    def drop(self, user: object) -> None:
        """Take a user off; with the last one the work is cancelled."""
        self.users.discard(user)
        if not self.users and self._task is not None and not self._canceling:
            self._canceling = True
            self._task.add_done_callback(self._canceled)
            self._task.cancel()

    def cancel(self) -> None:
        """Take all users off."""
        for user in tuple(self.users):
            self.drop(user)

    def _begin(self) -> None:
        self._task = self._spawn(self._work())

    async def _work(self) -> T | Failure:
        try:
            outcome: T | Failure = await self._start()
        except Exception as err:
            outcome = Failure(err)
        except asyncio.CancelledError:
            if not self._canceling:
                self._end(Failure(Canceled()))
            raise
        if not self._canceling:
            self._end(outcome)
        return outcome

    def _end(self, outcome: T | Failure) -> None:
        self._task = None
        self.users.clear()
        self._done(outcome)

    def _canceled(self, task: asyncio.Task[T | Failure]) -> None:
        """Settle a task that was to be cancelled: it may have come to its end before it was, or
        have none."""
        self._canceling = False
        if not task.cancelled() and not isinstance(outcome := task.result(), Failure):
            self._end(outcome)
            return
        self._task = None
        if self.users:
            self._begin()
        elif self._dropped is not None:
            self._dropped()
