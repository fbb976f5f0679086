"""A history on a store of its own, which can be opened again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from croze.api import control_pb2
from croze.history.history import BuildHistory, Expiry
from croze.history.logs import MEDIA_TYPE
from croze.store.open import open_store
from tests.store.pools import ThreadPool

Open = Callable[[], AbstractAsyncContextManager[BuildHistory]]
EXPIRY = Expiry(max_age_s=100, max_entries=2)


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    """Each call opens the same root."""

    @asynccontextmanager
    async def opening() -> AsyncIterator[BuildHistory]:
        store = await open_store(tmp_path / "store", ThreadPool(), snapshotter="native")
        try:
            async with BuildHistory(store, EXPIRY) as history:
                yield history
        finally:
            await store.close()

    return opening


def record(ref: str, *, created_s: int = 1000, took_s: int = 1) -> control_pb2.BuildHistoryRecord:
    """A build that is over."""
    made = control_pb2.BuildHistoryRecord(Ref=ref)
    made.CreatedAt.seconds = created_s
    made.CompletedAt.seconds = created_s + took_s
    return made


async def build(history: BuildHistory, ref: str, *, created_s: int = 1000) -> None:
    """One that has a log of its own."""
    made = record(ref, created_s=created_s)
    history.start(control_pb2.BuildHistoryRecord(Ref=ref, CreatedAt=made.CreatedAt))

    async def complete() -> control_pb2.BuildHistoryRecord:
        digest = await history.store.blobs.put(f"log of {ref}".encode())
        made.logs.CopyFrom(control_pb2.Descriptor(digest=digest, media_type=MEDIA_TYPE))
        return made

    history.finish(ref, complete(), AsyncExitStack())
    await history.settled()
