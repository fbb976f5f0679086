"""SQLite files of the daemon: in WAL mode, for its user alone, with a schema that is migrated.

A commit appends to the log without waiting for the disk (`synchronous=NORMAL`): it survives a
`kill -9` and never breaks the file; a power cut may lose the last moments.

A schema is the ordered list of steps that made it, each a list of statements; `PRAGMA user_version`
counts those that were applied. A step is never edited once released: append a new one.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from croze.errors import Unsupported

log = logging.getLogger(__name__)

Steps = Sequence[Sequence[str]]

MEMORY = Path(":memory:")
"""The path of a database that is no file, for tests."""

_NOT_THE_FILE = frozenset(
    {
        *(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_IOERR),
        *(sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM),
        sqlite3.SQLITE_READONLY,
    }
)
"""What can be wrong with the machine while the file is sound."""


class NewerSchema(Unsupported):
    """A newer version wrote the file."""


def open_database(
    path: Path, steps: Steps, *, what: str, any_thread: bool = False
) -> sqlite3.Connection:
    """Open or make the file, with the newest schema. Transactions are begun and ended by hand (see
    `transaction`). `what` it is, for messages; `any_thread`: the caller locks.

    Raises `NewerSchema`; `sqlite3.Error`, with the file in a note, for a file that is none or a
    disk that is full; and `OSError` where no file can be made, of which SQLite tells no reason."""
    try:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=not any_thread)
        try:
            if path != MEMORY:
                os.chmod(path, 0o600)  # build arguments are in it
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            migrate(connection, steps, what)
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        if _primary_code(error) == sqlite3.SQLITE_CANTOPEN:
            _make_a_file_beside(path)
        error.add_note(f"{what}, {path}")
        raise
    return connection


def open_derived(
    path: Path, steps: Steps, *, what: str, any_thread: bool = False
) -> sqlite3.Connection:
    """Like `open_database`, for data that can be had again: a file that can't be used is dropped,
    with a warning."""
    try:
        return open_database(path, steps, what=what, any_thread=any_thread)
    except (sqlite3.DatabaseError, NewerSchema) as error:
        if isinstance(error, sqlite3.Error) and _primary_code(error) in _NOT_THE_FILE:
            raise
        log.warning("%s can't be read, starting anew: %s", what, error)
        for suffix in ("", "-wal", "-shm"):
            Path(f"{path}{suffix}").unlink(missing_ok=True)
        return open_database(path, steps, what=what, any_thread=any_thread)


def _primary_code(error: sqlite3.Error) -> int:
    """What kind of trouble SQLite had. Source: https://sqlite.org/rescode.html"""
    return error.sqlite_errorcode & 0xFF


def _make_a_file_beside(path: Path) -> None:
    """Make a file, of which nothing stays. Raises the `OSError` that SQLite has kept to itself when
    it could make none, as on a disk without inodes."""
    try:
        os.close(os.open(path.parent, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR):  # not on every file system
            raise OSError(error.errno, error.strerror, str(path)) from None


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """What is written inside takes effect together or not at all. Does not nest."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # SQLite itself rolls back after some errors
            connection.execute("ROLLBACK")
        raise


def migrate(connection: sqlite3.Connection, steps: Steps, what: str) -> None:
    """Bring it to the newest schema, one transaction a step. Raises `NewerSchema`."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(steps):
        raise NewerSchema(f"{what} has schema {version}, this version knows up to {len(steps)}")
    for number, statements in enumerate(steps[version:], version + 1):
        with transaction(connection):
            for statement in statements:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number}")
