"""SQLite files: migrations, transactions, files that can't be used."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import resource
import sqlite3
import stat
from pathlib import Path

import pytest

from croze.sqlite.database import NewerSchema, Steps, open_database, open_derived, transaction

ONE = (("CREATE TABLE a (x INTEGER)", "INSERT INTO a VALUES (1)"),)
TWO = (*ONE, ("ALTER TABLE a ADD COLUMN y INTEGER NOT NULL DEFAULT 7",))
BROKEN = (*ONE, ("INSERT INTO a VALUES (2)", "SELECT nonsense"))


def rows(path: Path, steps: Steps) -> list[tuple[int, ...]]:
    with contextlib.closing(open_database(path, steps, what="it")) as db:
        return db.execute("SELECT * FROM a").fetchall()


def test_steps_are_applied_once_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "db"
    assert rows(path, ONE) == [(1,)]
    with pytest.raises(sqlite3.OperationalError, match="nonsense"):
        rows(path, BROKEN)
    assert rows(path, ONE) == [(1,)], "half a step was applied"
    assert rows(path, TWO) == rows(path, TWO) == [(1, 7)]
    with pytest.raises(NewerSchema, match="it has schema 2, this version knows up to 1"):
        rows(path, ONE)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_transaction_is_all_or_nothing(tmp_path: Path) -> None:
    with contextlib.closing(open_database(tmp_path / "db", ONE, what="it")) as db:
        with contextlib.suppress(RuntimeError), transaction(db):
            db.execute("INSERT INTO a VALUES (2)")
            raise RuntimeError
        with transaction(db):
            db.execute("INSERT INTO a VALUES (3)")
        assert db.execute("SELECT x FROM a").fetchall() == [(1,), (3,)]


@pytest.mark.parametrize("content", [b"no database at all" * 100, b""])
def test_derived_data_starts_anew(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """After bytes that are no database, and after a version that is newer."""
    path = tmp_path / "db"
    if content:
        path.write_bytes(content)
    else:
        assert rows(path, TWO)
    caplog.set_level(logging.WARNING)
    with contextlib.closing(open_derived(path, ONE, what="it")) as db:
        assert db.execute("SELECT * FROM a").fetchall() == [(1,)]
    assert "it can't be read, starting anew" in caplog.text


def test_derived_data_outlives_trouble_of_the_machine(tmp_path: Path) -> None:
    path = tmp_path / "db"
    path.mkdir()
    with pytest.raises(sqlite3.OperationalError, match="unable to open"):
        open_derived(path, ONE, what="it")


def test_why_no_file_can_be_made_is_told(tmp_path: Path) -> None:
    """SQLite says that it was unable to."""
    path = tmp_path / "db"
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    next_fd = os.dup(0)
    os.close(next_fd)
    resource.setrlimit(resource.RLIMIT_NOFILE, (next_fd, limits[1]))
    try:
        with pytest.raises(OSError) as caught:
            open_derived(path, ONE, what="it")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert (caught.value.errno, caught.value.filename) == (errno.EMFILE, str(path))


def test_where_no_file_can_be_tried_sqlite_has_the_last_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> int:
        raise OSError(errno.EOPNOTSUPP, "not on this file system")

    (tmp_path / "db").mkdir()
    monkeypatch.setattr(os, "open", refused)
    with pytest.raises(sqlite3.OperationalError, match="unable to open"):
        open_derived(tmp_path / "db", ONE, what="it")
