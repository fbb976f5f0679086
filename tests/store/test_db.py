"""The metadata database and its migrations."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from croze.errors import CrozeError
from croze.sqlite.database import migrate
from croze.store import db as module
from croze.store.db import Database
from croze.store.disk import Ballast
from croze.store.migrations import STEPS
from tests.support.waiting import PATIENCE_S


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    db = Database(tmp_path / "db", Ballast(tmp_path))
    yield db
    db.close()


def schema(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    rows = connection.execute("SELECT name, sql FROM sqlite_master ORDER BY name")
    return [(str(name), str(sql)) for name, sql in rows]


@pytest.mark.parametrize("done", range(len(STEPS) + 1))
def test_every_version_becomes_the_newest(done: int) -> None:
    old, new = sqlite3.connect(":memory:"), sqlite3.connect(":memory:")
    try:
        for step in STEPS[:done]:
            for statement in step:
                old.execute(statement)
        old.execute(f"PRAGMA user_version = {done}")
        migrate(old, STEPS, "the store")
        migrate(old, STEPS, "the store")
        migrate(new, STEPS, "the store")
        assert schema(old) == schema(new)
    finally:
        old.close()
        new.close()


def settings(db: Database) -> list[str]:
    return [str(name) for (name,) in db.read("SELECT name FROM settings ORDER BY name")]


def test_transactions_are_whole_and_nest(db: Database) -> None:
    with db.transaction():
        db.write("INSERT INTO settings VALUES ('a', '')")
        with db.transaction():
            db.write("INSERT INTO settings VALUES ('b', '')")
    assert settings(db) == ["a", "b"]

    def fail() -> None:
        with db.transaction():
            db.write("INSERT INTO settings VALUES ('c', '')")
            raise ValueError

    with pytest.raises(ValueError):
        fail()
    assert settings(db) == ["a", "b"]
    db.write_many("INSERT INTO settings VALUES (?, '')", [("d",), ("e",)])
    assert settings(db) == ["a", "b", "d", "e"]


def test_what_comes_to_nothing_is_undone_in_memory_too(db: Database) -> None:
    """The last first; what was done in a transaction that took effect stays."""
    undone: list[str] = []

    def write(name: str) -> None:
        with db.transaction():
            db.write("INSERT INTO settings VALUES (?, '')", name)
            db.on_rollback(lambda: undone.append(name))

    def write_twice_and_fail() -> None:
        with db.transaction():
            write("b")
            write("c")
            write("a")

    write("a")
    with pytest.raises(sqlite3.IntegrityError):
        write_twice_and_fail()
    assert undone == ["c", "b"]
    assert settings(db) == ["a"]


def test_the_log_is_folded_in_the_background(tmp_path: Path) -> None:
    db = Database(tmp_path / "db", Ballast(tmp_path))
    for number in range(1200):
        db.write("INSERT OR REPLACE INTO settings VALUES ('n', ?)", str(number))
    db.close()
    again = Database(tmp_path / "db", Ballast(tmp_path))
    assert again.read("SELECT value FROM settings") == [("1199",)]
    again.close()
    assert not (tmp_path / "db-wal").exists()


async def test_those_who_wait_for_the_disk_do_so_together(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is committed while the disk is at work needs the next time, and all need the same."""
    times: list[list[str]] = []
    begun, may_end = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def sync(log: Path) -> None:
        assert log.stat().st_size > 0
        with contextlib.closing(sqlite3.connect(str(log).removesuffix("-wal"))) as other:
            times.append([str(name) for (name,) in other.execute("SELECT name FROM settings")])
        loop.call_soon_threadsafe(begun.set)
        may_end.wait(PATIENCE_S)

    async def write(name: str) -> None:
        db.write("INSERT INTO settings VALUES (?, '')", name)
        await db.sync()

    monkeypatch.setattr(module, "_sync_log", sync)
    async with asyncio.TaskGroup() as group:
        group.create_task(write("a"))
        await begun.wait()
        for name in ("b", "c", "d"):
            group.create_task(write(name))
        cancelled = group.create_task(db.sync())
        await asyncio.sleep(0)
        cancelled.cancel()
        may_end.set()
    assert [len(time) for time in times] == [1, 4]


def test_what_sqlite_says_is_of_something(db: Database) -> None:
    with pytest.raises(CrozeError) as caught:
        db.write("DELETE FROM nowhere")
    assert str(caught.value) == "failed to write the store's metadata: no such table: nowhere"
