"""What digests in cache keys are made of, kept for whoever looks at them (`--save-cache-debug`).

As with BuildKit, `cache-debug.db` in the root outlives the daemon, and grows as long as the flag is
given; ours is SQLite. Texts are written some at a time: a `kill -9` loses the last ones.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from croze.cachekeys.texts import DigestText, noting
from croze.sqlite.database import open_derived, transaction

NAME = "cache-debug.db"
_SCHEMA = (("CREATE TABLE texts (digest TEXT PRIMARY KEY, text BLOB NOT NULL) WITHOUT ROWID",),)
_AT_ONCE = 500

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(DigestText).decode


class DigestTexts:
    """The texts of all digests that were noted, by digest."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._pending: dict[str, DigestText] = {}

    def note(self, digest: str, text: DigestText) -> None:
        self._pending[digest] = text
        if len(self._pending) >= _AT_ONCE:
            self.flush()

    def flush(self) -> None:
        with transaction(self._connection):
            rows = [(digest, _encode(text)) for digest, text in self._pending.items()]
            self._connection.executemany("INSERT OR REPLACE INTO texts VALUES (?, ?)", rows)
        self._pending.clear()

    def get(self, digest: str) -> DigestText | None:
        """What `digest` was made of, or None if that was not noted."""
        if digest in self._pending:
            return self._pending[digest]
        query = "SELECT text FROM texts WHERE digest = ?"
        row = self._connection.execute(query, (digest,)).fetchone()
        return None if row is None else _decode(row[0])

    def digests(self) -> list[str]:
        """All digests that have a text, in order."""
        self.flush()
        rows = self._connection.execute("SELECT digest FROM texts ORDER BY digest").fetchall()
        return [digest for (digest,) in rows]


@contextmanager
def keeping_texts(root: Path) -> Iterator[DigestTexts]:
    """Note each digest in a cache key with its text, in a file below `root`, while inside."""
    connection = open_derived(root / NAME, _SCHEMA, what="the database of digests' texts")
    try:
        texts = DigestTexts(connection)
        with noting(texts.note):
            yield texts
        texts.flush()
    finally:
        connection.close()
