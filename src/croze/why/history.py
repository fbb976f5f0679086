"""Records of past builds on disk: the last few of each Dockerfile, and lists of files.

SQLite, one row a build. A list of files is the checksum index of the directory at the time, kept
by a hard link: it is never written in place, so that keeping it costs nothing. All of this is
derived data: a file that can't be read is set aside, and builds never fail for it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec
import zstandard

from croze.ops.content import SIDE_FILE
from croze.ops.results import RefResult
from croze.solver.contract import Result
from croze.sqlite.database import open_derived, transaction
from croze.why.record import RecordedBuild

log = logging.getLogger(__name__)

KEEP_BUILDS: Final = 20
"""How many builds of each scope."""
KEEP_ALL: Final = 1000
KEEP_BYTES: Final = 256 << 20
"""The most bytes of lists of files."""
_TRIMMED_BYTES: Final = KEEP_BYTES // 8 * 7
"""What is left when they were too much: the next build's do not make it so again."""

SCHEMA: Final = (
    (
        """
        CREATE TABLE builds (
            number INTEGER PRIMARY KEY, ref TEXT NOT NULL, scope TEXT NOT NULL, data BLOB NOT NULL
        )
        """,
        "CREATE INDEX builds_by_scope ON builds (scope, number)",
        "CREATE INDEX builds_by_ref ON builds (ref)",
        """
        CREATE TABLE lists (build INTEGER NOT NULL, name TEXT NOT NULL, PRIMARY KEY (build, name))
            WITHOUT ROWID
        """,
    ),
    (
        """
        CREATE TABLE lost (result TEXT PRIMARY KEY, at_us INTEGER NOT NULL, build INTEGER NOT NULL)
            WITHOUT ROWID
        """,
    ),
    (
        "CREATE INDEX lists_by_name ON lists (name)",
        "CREATE INDEX lost_by_build ON lost (build)",
    ),
)
"""The steps that made it (see `sqlite.database`)."""

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(RecordedBuild)


class FileLists:
    """Lists of files by name. Safe to use from several threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._size_bytes: int | None = None
        """The size of all of them; None until they were first looked through."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    @property
    def want_trimming(self) -> bool:
        """Whether the lists take too much room, or may: nobody has looked yet."""
        return self._size_bytes is None or self._size_bytes > KEEP_BYTES

    def keep(self, result: Result | None) -> str:
        """Keep what is known now of the files of `result`; the list's name, empty if nothing
        is known."""
        ref = result.ref if isinstance(result, RefResult) else None
        if ref is None:
            return ""
        source = ref.side_file(SIDE_FILE)
        try:
            st = os.stat(source)
            name = f"{st.st_ino:x}-{st.st_mtime_ns:x}"
            target = self._folder / name
            if not target.exists():
                _link(source, target)
                self._add_bytes(st.st_size)
        except OSError as error:
            log.debug("no list of files from %s: %s", source, error)
            return ""
        return name

    def path(self, name: str) -> Path:
        return self._folder / name

    def drop(self, name: str) -> None:
        """Delete a list that no record names any more. Idempotent."""
        path = self._folder / name
        with contextlib.suppress(OSError):
            size = path.stat().st_size
            path.unlink()
            self._add_bytes(-size)

    def _add_bytes(self, size: int) -> None:
        with self._lock:
            if self._size_bytes is not None:
                self._size_bytes += size

    def trim(self, used: set[str], limit_bytes: int = _TRIMMED_BYTES) -> None:
        """Look through all: drop what no record names, and the oldest of what takes too much
        room."""
        by_age: list[tuple[int, int, Path]] = []
        for path in self._folder.iterdir():
            with contextlib.suppress(OSError):
                if path.name in used:
                    st = path.stat()
                    by_age.append((st.st_mtime_ns, st.st_size, path))
                else:
                    path.unlink()
        by_age.sort(reverse=True)
        total = 0
        for _, size, path in by_age:
            if total + size > limit_bytes:
                path.unlink(missing_ok=True)
            else:
                total += size
        with self._lock:
            self._size_bytes = total


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        temporary = target.with_name(f"{target.name}.{os.getpid()}")
        shutil.copyfile(source, temporary)
        temporary.replace(target)


class PastBuilds:
    """Past builds. Safe to use from several threads."""

    def __init__(self, root: Path, *, keep_builds: int = KEEP_BUILDS) -> None:
        """`root` is the daemon's: files `why.db` and `why/` are made in it."""
        self.lists = FileLists(root / "why")
        self._keep_builds = keep_builds
        self._lock = threading.Lock()
        self._pending: dict[int, set[str]] = {}
        path = root / "why.db"
        self._connection = open_derived(
            path, SCHEMA, what="records of past builds", any_thread=True
        )

    def add(self, build: RecordedBuild) -> None:
        """Remember a build; older ones of its scope give way."""
        data = zstandard.ZstdCompressor(level=1).compress(_encoder.encode(build))
        lists = {item.files for step in build.steps for item in step.inputs if item.files}
        with self._writing() as db:
            cursor = db.execute(
                "INSERT INTO builds (ref, scope, data) VALUES (?, ?, ?)",
                (build.ref, build.scope, data),
            )
            rows = [(cursor.lastrowid, name) for name in lists]
            db.executemany("INSERT INTO lists VALUES (?, ?)", rows)
            unnamed = self._drop_old(db, build.scope)
        self._drop_unnamed(unnamed)
        if self.lists.want_trimming:
            self.lists.trim(self._named() | self._held())

    def earlier(self, scope: str, *, before: str = "") -> Iterator[RecordedBuild]:
        """Builds of a scope, newest first; with `before` those older than that ref."""
        number = 1 << 62
        if before:
            first = self._read("SELECT MIN(number) FROM builds WHERE ref = ?", before)
            number = int(first[0][0] or number) if first else number
        while True:
            rows = self._read(
                "SELECT number, data FROM builds WHERE scope = ? AND number < ? "
                "ORDER BY number DESC LIMIT 1",
                scope,
                number,
            )
            if not rows:
                return
            number = int(rows[0][0])
            yield _decode(rows[0][1])

    def latest(self) -> RecordedBuild | None:
        rows = self._read("SELECT data FROM builds ORDER BY number DESC LIMIT 1")
        return _decode(rows[0][0]) if rows else None

    def find(self, ref: str) -> RecordedBuild | None:
        """The build with this ref, or the newest whose ref begins with it."""
        rows = self._read(
            "SELECT data FROM builds WHERE ref >= ? AND ref < ? ORDER BY number DESC LIMIT 1",
            ref,
            ref + "\U0010ffff",
        )
        return _decode(rows[0][0]) if rows and ref else None

    def lost(self, results: Sequence[str], at_us: int) -> None:
        """Results of steps were removed from the cache."""
        with self._writing() as db:
            db.executemany(
                "INSERT OR IGNORE INTO lost SELECT ?, ?, COALESCE(MAX(number), 0) FROM builds",
                [(result, at_us) for result in results],
            )

    def gone(self, results: Sequence[str], at_us: int = 0) -> bool:
        """Whether all of them had been removed at a time; 0: by now."""
        return all(self._lost_before(result, at_us or 1 << 62) for result in results)

    def _lost_before(self, result: str, at_us: int) -> bool:
        return bool(self._read("SELECT 1 FROM lost WHERE result = ? AND at_us < ?", result, at_us))

    @contextlib.contextmanager
    def holding(self) -> Iterator[set[str]]:
        """Names of lists added to the set are kept while inside, although no record names them
        yet. Those that none names by the end are dropped."""
        names: set[str] = set()
        key = id(names)
        with self._lock:
            self._pending[key] = names
        try:
            yield names
        finally:
            with self._lock:
                del self._pending[key]
            with contextlib.suppress(sqlite3.Error):
                self._drop_unnamed(names)

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def _held(self) -> set[str]:
        with self._lock:
            return set().union(*self._pending.values())

    def _named(self) -> set[str]:
        return {str(row[0]) for row in self._read("SELECT DISTINCT name FROM lists")}

    def _drop_unnamed(self, names: Iterable[str]) -> None:
        """Drop those of the lists that no record names and no build holds."""
        held = self._held()
        for name in names:
            if name in held or self._read("SELECT 1 FROM lists WHERE name = ? LIMIT 1", name):
                continue
            self.lists.drop(name)

    def _drop_old(self, db: sqlite3.Connection, scope: str) -> list[str]:
        """Forget builds that are too many; the names of their lists. The work is that of what is
        forgotten, however much is on record."""
        old = db.execute(
            "SELECT number FROM builds WHERE scope = ? ORDER BY number DESC LIMIT -1 OFFSET ?",
            (scope, self._keep_builds),
        ).fetchall()
        old += db.execute(
            "SELECT number FROM builds WHERE number <= (SELECT MAX(number) FROM builds) - ?",
            (KEEP_ALL,),
        ).fetchall()
        names: list[str] = []
        for number in old:
            names += [
                row[0] for row in db.execute("SELECT name FROM lists WHERE build = ?", number)
            ]
            db.execute("DELETE FROM lists WHERE build = ?", number)
            db.execute("DELETE FROM builds WHERE number = ?", number)
        if old:
            # What went before all builds that are left were recorded is nobody's any more.
            db.execute("DELETE FROM lost WHERE build < (SELECT MIN(number) FROM builds) - 1")
        return names

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock, transaction(self._connection):
            yield self._connection

    def _read(self, sql: str, *values: str | int) -> list[tuple[int, bytes]]:
        with self._lock:
            return self._connection.execute(sql, values).fetchall()


def _decode(data: int | bytes) -> RecordedBuild:
    assert isinstance(data, bytes)
    return _decoder.decode(zstandard.ZstdDecompressor().decompress(data))
