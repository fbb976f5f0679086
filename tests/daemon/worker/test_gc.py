"""The collector goes on whatever it meets: who builds does not stand or fall with it."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from pathlib import Path

import pytest

from croze.daemon.worker import gc
from croze.store.contract import PrunePolicy
from croze.store.open import open_store
from tests.store.pools import ThreadPool
from tests.support.waiting import PATIENCE_S


async def test_metadata_that_can_not_be_read_is_looked_at_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(gc, "FIRST_RUN_S", 0)
    monkeypatch.setattr(gc, "INTERVAL_S", 0)
    store = await open_store(tmp_path / "root", ThreadPool(), snapshotter="native")
    looked: asyncio.Queue[None] = asyncio.Queue()

    def unreadable(*_: object) -> None:
        looked.put_nowait(None)
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(store.refs, "prune", unreadable)

    async def forget_lost() -> None: ...

    collector = gc.GarbageCollector(lambda: store.refs, [PrunePolicy()], forget_lost)
    with caplog.at_level(logging.WARNING):
        async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as tasks:
            running = tasks.create_task(collector.run())
            await looked.get()
            collector.nudge()
            await looked.get()
            running.cancel()
    assert "gc: disk I/O error" in caplog.text
    await store.close()
