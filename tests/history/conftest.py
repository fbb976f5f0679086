"""A history on a store of its own, which can be opened again."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from croze.api import control_pb2
from croze.history.blobs import RecordBlobs
from croze.history.history import BuildHistory, Expiry, FinishedBuild
from croze.history.logs import MEDIA_TYPE
from croze.store.open import open_store
from tests.store.pools import ThreadPool

Open = Callable[..., AbstractAsyncContextManager[BuildHistory]]
EXPIRY = Expiry(max_age_s=100, max_entries=2)


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    """Each call opens the same root, unless it is given one."""

    @asynccontextmanager
    async def opening(root: Path = tmp_path / "store") -> AsyncIterator[BuildHistory]:
        store = await open_store(root, ThreadPool(), snapshotter="native")
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

    async with history.store.leases.lease() as lease:
        blobs = RecordBlobs(history.store.blobs, lease)

        async def complete() -> FinishedBuild:
            made.logs.CopyFrom(await blobs.add((f"log of {ref}".encode(),), MEDIA_TYPE))
            return FinishedBuild(made, blobs.inline)

        await history.finish(ref, complete())


async def finished(record: control_pb2.BuildHistoryRecord) -> FinishedBuild:
    """One without blobs of its own."""
    return FinishedBuild(record)


async def listed(history: BuildHistory, **what: object) -> list[tuple[int, str]]:
    """What there is, running and over."""
    request = control_pb2.BuildHistoryRequest(EarlyExit=True, **what)  # type: ignore[arg-type]
    return [(e.type, e.record.Ref) async for e in history.listen(request)]


def log_digest(ref: str) -> str:
    return "sha256:" + hashlib.sha256(f"log of {ref}".encode()).hexdigest()
