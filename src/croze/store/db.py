"""The metadata database: SQLite in WAL mode, written from the event loop's thread.

A power cut may lose what was written since the last `Database.sync`; the snapshots of that are then
swept. The log is folded into the database by a thread of its own, so that the loop never waits for
fsync.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from croze.aio.threads import in_thread
from croze.sqlite.database import open_database, transaction
from croze.store.disk import Ballast, disk_errors, own_disk_errors
from croze.store.migrations import STEPS

Value = str | int | bytes | None
_CHECKPOINT_COMMITS = 500


class Database:
    """One connection for all metadata of a root."""

    def __init__(self, path: Path, ballast: Ballast) -> None:
        """Open the database, and bring its schema up to date. Raises `ResourceExhausted` only when
        even giving up the ballast makes no room."""
        self._path = path
        self._ballast = ballast
        self._depth = 0
        self._undo: list[Callable[[], None]] = []
        self._commits = 0
        self._syncs_asked = self._synced = 0
        self._sync_turn = asyncio.Lock()
        self._folder = ThreadPoolExecutor(1, "croze-db")
        with disk_errors("failed to open the store's database"):
            try:
                self._connection = self._open()
            except (OSError, sqlite3.OperationalError) as error:
                if not ballast.drop():
                    raise
                del error
                self._connection = self._open()
        ballast.restore()

    def _open(self) -> sqlite3.Connection:
        connection = open_database(self._path, STEPS, what="the store")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        return connection

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything written inside takes effect together or not at all. Nests. Never hold it
        over an `await`. Raises `CrozeError`; `ResourceExhausted` on a full disk."""
        if self._depth:
            yield
            return
        self._depth = 1
        try:
            with own_disk_errors("failed to write the store's metadata"):
                with transaction(self._connection):
                    yield
                self._count_commit()
        except BaseException:
            for undo in reversed(self._undo):
                undo()
            raise
        finally:
            self._depth = 0
            self._undo.clear()

    def on_rollback(self, undo: Callable[[], None]) -> None:
        """Call `undo` if the open transaction is rolled back, so that what is kept in memory can
        follow."""
        if self._depth:
            self._undo.append(undo)

    def _count_commit(self) -> None:
        self._commits += 1
        if self._commits % _CHECKPOINT_COMMITS == 0:
            self._folder.submit(self._fold)

    def _fold(self) -> None:
        with contextlib.closing(sqlite3.connect(self._path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def write(self, sql: str, *values: Value) -> None:
        """One statement, in the current transaction or its own."""
        with self.transaction():
            self._connection.execute(sql, values)

    def write_many(self, sql: str, rows: Iterable[Sequence[Value]]) -> None:
        """One statement for many rows."""
        with self.transaction():
            self._connection.executemany(sql, rows)

    def read(self, sql: str, *values: Value) -> list[tuple[Value, ...]]:
        """All rows of a query."""
        return self._connection.execute(sql, values).fetchall()

    async def sync(self) -> None:
        """Wait until the disk has what was committed: a power cut does not take it either. Those
        who ask while the disk is at work share the next time."""
        self._syncs_asked += 1
        number = self._syncs_asked
        async with self._sync_turn:
            if self._synced >= number:
                return
            last = self._syncs_asked
            with own_disk_errors("failed to write the store's metadata"):
                await in_thread(_sync_log, Path(f"{self._path}-wal"))
            self._synced = last

    def make_room(self) -> None:
        """Delete the ballast before deletions, if the disk is too full to record them."""
        if self._ballast.needed():
            self._ballast.drop()

    def restore_ballast(self) -> bool:
        """Make the ballast anew after deletions if there is room; whether it is there."""
        return self._ballast.restore()

    def close(self) -> None:
        """Fold the log and close. Idempotent."""
        self._folder.shutdown(wait=True)
        self._connection.close()


def _sync_log(log: Path) -> None:
    """The log, which is there as long as the database is open; what was folded is on the disk."""
    with open(log, "rb") as file:
        os.fdatasync(file.fileno())
