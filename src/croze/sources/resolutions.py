"""What one build has found mutable names to mean: it does not change while the build runs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import datetime
from typing import Generic, TypeVar

from msgspec import Struct

from croze.store.contract import ImmutableRef

T = TypeVar("T")


class GitCommit(Struct, frozen=True):
    """What a reference names now: `object` may be an annotated tag, of which `commit` is the
    commit. `ref` is the full name, or the digest that was asked for."""

    ref: str
    object: str
    commit: str


class HttpFile(Struct, frozen=True):
    """A file's description. `ref_id` is where it is, empty while it is not fetched."""

    digest: str
    filename: str
    modified: datetime | None = None
    ref_id: str = ""


class _Known(Generic[T]):
    """The answers for one name; several, where a later question could not do with the first."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.answers: list[T] = []


class KeptAnswers(Generic[T]):
    """Answers of one kind, by name."""

    def __init__(self) -> None:
        self._known: dict[str, _Known[T]] = {}

    async def get(
        self, name: str, find: Callable[[], Awaitable[T]], good: Callable[[T], bool]
    ) -> T:
        """An earlier answer that is `good`, else what `find` finds. Failures are not kept."""
        entry = self._known.setdefault(name, _Known())
        async with entry.lock:
            for answer in entry.answers:
                if good(answer):
                    return answer
            new = await find()
            entry.answers.append(new)
            return new


class HeldRefs:
    """Refs that must stay until the build ends."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()

    def add(self, ref: ImmutableRef) -> None:
        """Takes over the handle."""
        self._stack.push_async_callback(ref.release)

    async def release(self) -> None:
        await self._stack.aclose()
