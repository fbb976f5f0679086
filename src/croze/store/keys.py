"""Cache keys on disk: a `cachekeys.contract.KeyStore` over SQLite.

One file of its own, so that writing keys never waits for other metadata. Writes go into an open
transaction, which this connection reads at once; `flush` commits it. A crash loses what was not
flushed, as a whole transaction, never a part of it.

Keys that begin with `random:` stand for something of one session. They are kept in memory only,
the latest ones, so that the file does not grow with every build.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Generic, TypeVar

from croze.cachekeys.contract import FEW, KeyLink, StoredResult
from croze.cachekeys.names import RANDOM
from croze.sqlite.database import open_derived
from croze.store.disk import disk_errors, own_disk_errors

log = logging.getLogger(__name__)

K = TypeVar("K")
V = TypeVar("V")

_BATCH: Final = 5000
"""Writes after which a transaction is committed without being asked."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

SCHEMA: Final = (
    (
        """
        CREATE TABLE links (
            source TEXT NOT NULL, input INTEGER NOT NULL, output INTEGER NOT NULL,
            digest TEXT NOT NULL, selector TEXT NOT NULL, target TEXT NOT NULL,
            PRIMARY KEY (source, digest, input, output, selector, target)
        ) WITHOUT ROWID
        """,
        "CREATE INDEX links_by_target ON links (target)",
        """
        CREATE TABLE results (
            key TEXT NOT NULL, id TEXT NOT NULL, created_us INTEGER NOT NULL,
            PRIMARY KEY (key, id)
        ) WITHOUT ROWID
        """,
        "CREATE INDEX results_by_id ON results (id)",
    ),
)
"""The steps that made it (see `sqlite.database`)."""
_REMEMBERED: Final = 10_000
"""Keys whose results are remembered, and up to twice as many: some 5 MB."""
_RANDOM_KEYS: Final = 10_000
"""How many random keys are remembered."""
_LOOK_UPS: Final = 10_000
"""How many look-ups of links are remembered, and up to twice as many, some 10 MB: a step is looked
up thrice before it has run, and once in each build that finds it."""


_LINKED: Final = "source = ? AND digest = ? AND input = ? AND output = ? AND selector = ?"
_ALL: Final = -1
"""As many rows as there are."""

_Links = dict[KeyLink, dict[str, None]]
_Results = dict[str, StoredResult]


class _Recent(dict[K, V], Generic[K, V]):
    """Answers by question: the latest, no fewer than `most` and no more than twice as many.

    There are two generations, and what is asked for in the older one comes into the newer. A build
    asks for the same each time, in the same order: of one with somewhat more questions than fit, a
    memory that is emptied when it is full knows none, and this one nearly all. What is in the newer
    generation is found without a call (it is what the dictionary itself holds)."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most
        self._older: dict[K, V] = {}

    def __missing__(self, question: K) -> V:
        answer = self._older[question]
        self.keep(question, answer)
        return answer

    def peek(self, question: K) -> V | None:
        """The answer, if it is there; it becomes no newer."""
        return self.get(question, self._older.get(question))

    def keep(self, question: K, answer: V) -> None:
        """Remember an answer."""
        if len(self) >= self._most:
            self._older = dict(self)
            super().clear()
        self[question] = answer

    def forget(self, question: K) -> None:
        """Drop the answer, if it is there."""
        self.pop(question, None)
        self._older.pop(question, None)

    def clear(self) -> None:
        """Forget all."""
        super().clear()
        self._older = {}


class _RandomKeys:
    """What is known of random keys; the oldest are forgotten."""

    def __init__(self) -> None:
        self._keys: OrderedDict[str, tuple[_Links, _Results]] = OrderedDict()

    def exists(self, key: str) -> bool:
        return key in self._keys

    def add_link(self, source: str, link: KeyLink, target: str) -> None:
        self._entry(source)[0].setdefault(link, {})[target] = None

    def targets(self, source: str, link: KeyLink) -> dict[str, None]:
        entry = self._keys.get(source)
        return entry[0].get(link, {}) if entry else {}

    def key_ids(self) -> Iterable[str]:
        return tuple(self._keys)

    def links(self) -> Iterable[tuple[str, KeyLink, str]]:
        return [
            (source, link, target)
            for source, (links, _) in self._keys.items()
            for link, targets in links.items()
            for target in targets
        ]

    def add_result(self, key: str, result: StoredResult) -> None:
        self._entry(key)[1][result.id] = result

    def results(self, key: str) -> Sequence[StoredResult]:
        entry = self._keys.get(key)
        results = entry[1].values() if entry else ()
        return sorted(results, key=lambda r: (r.created_at, r.id), reverse=True)

    def result_ids(self) -> Iterator[str]:
        for _, results in self._keys.values():
            yield from results

    def release_result(self, result_id: str) -> None:
        for key, (links, results) in list(self._keys.items()):
            if results.pop(result_id, None) is not None and not results and not links:
                del self._keys[key]

    def _entry(self, key: str) -> tuple[dict[KeyLink, dict[str, None]], dict[str, StoredResult]]:
        entry = self._keys.get(key)
        if entry is None:
            entry = self._keys[key] = ({}, {})
            if len(self._keys) > _RANDOM_KEYS:
                self._keys.popitem(last=False)
        return entry


class SqliteKeys:
    """A `KeyStore`. Use from one thread."""

    def __init__(self, path: Path) -> None:
        self._writes = 0
        self._random: _RandomKeys = _RandomKeys()
        self._few_targets: _Recent[tuple[str, KeyLink], tuple[str, ...] | None] = _Recent(_LOOK_UPS)
        """What look-ups have found; nobody else writes the file."""
        self._results: _Recent[str, Sequence[StoredResult]] = _Recent(_REMEMBERED)
        """What was asked for, as it is now: every build asks for the results of all its keys, and
        does so again for its record."""
        self._db = _open(path)
        self._run = self._db.execute

    def exists(self, key_id: str) -> bool:
        if key_id.startswith(RANDOM):
            return self._random.exists(key_id)
        row = self._run(
            "SELECT EXISTS (SELECT 1 FROM results WHERE key = ?1)"
            " OR EXISTS (SELECT 1 FROM links WHERE source = ?1)"
            " OR EXISTS (SELECT 1 FROM links WHERE target = ?1)",
            (key_id,),
        ).fetchone()
        return bool(row[0])

    def add_link(self, source_key: str, link: KeyLink, target_key: str) -> None:
        if source_key.startswith(RANDOM):
            self._random.add_link(source_key, link, target_key)
            return
        place = (source_key, link)
        if self._few_targets.peek(place) is not None:  # what leads to a crowd goes on to do so
            self._few_targets.forget(place)
        self._write(
            "INSERT OR IGNORE INTO links (source, input, output, digest, selector, target)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (
                source_key,
                link.input_index,
                link.output_index,
                link.digest,
                link.selector,
                target_key,
            ),
        )

    def targets(self, source_key: str, link: KeyLink) -> Sequence[str]:
        few = self.few_targets(source_key, link)
        if few is not None:
            return few
        if source_key.startswith(RANDOM):
            return tuple(self._random.targets(source_key, link))
        return self._read_targets(source_key, link, _ALL)

    def few_targets(self, source_key: str, link: KeyLink) -> Sequence[str] | None:
        if source_key.startswith(RANDOM):
            there = self._random.targets(source_key, link)
            return tuple(there) if len(there) <= FEW else None
        place = (source_key, link)
        try:
            return self._few_targets[place]
        except KeyError:
            rows = self._read_targets(source_key, link, FEW + 1)
        few = rows if len(rows) <= FEW else None
        self._few_targets.keep(place, few)
        return few

    def leads(self, source_key: str, link: KeyLink, target_key: str) -> bool:
        few = self.few_targets(source_key, link)
        if few is not None:
            return target_key in few
        if source_key.startswith(RANDOM):
            return target_key in self._random.targets(source_key, link)
        row = self._run(
            f"SELECT EXISTS (SELECT 1 FROM links WHERE {_LINKED} AND target = ?)",
            (*_place(source_key, link), target_key),
        ).fetchone()
        return bool(row[0])

    def _read_targets(self, source_key: str, link: KeyLink, most: int) -> tuple[str, ...]:
        rows = self._run(
            f"SELECT target FROM links WHERE {_LINKED} LIMIT ?", (*_place(source_key, link), most)
        )
        return tuple([row[0] for row in rows])

    def links_into(self, target_key: str) -> Sequence[tuple[str, KeyLink]]:
        """See `KeyLookup.links_into`; without those from random keys, which no exporter wants."""
        rows = self._run(
            "SELECT source, input, output, digest, selector FROM links WHERE target = ?",
            (target_key,),
        )
        return tuple((row[0], KeyLink(*row[1:])) for row in rows)

    def key_ids(self) -> Iterable[str]:
        rows = self._run(
            "SELECT key FROM results UNION SELECT source FROM links UNION SELECT target FROM links"
        )
        return tuple(dict.fromkeys([*(row[0] for row in rows), *self._random.key_ids()]))

    def links(self) -> Iterable[tuple[str, KeyLink, str]]:
        rows = self._run("SELECT source, target, input, output, digest, selector FROM links")
        stored = [(row[0], KeyLink(*row[2:]), row[1]) for row in rows]
        return (*stored, *self._random.links())

    def add_result(self, key_id: str, result: StoredResult) -> None:
        if key_id.startswith(RANDOM):
            self._random.add_result(key_id, result)
            return
        self._results.forget(key_id)
        self._write(
            "INSERT OR REPLACE INTO results (key, id, created_us) VALUES (?, ?, ?)",
            (key_id, result.id, (result.created_at - _EPOCH) // timedelta(microseconds=1)),
        )

    def results(self, key_id: str) -> Sequence[StoredResult]:
        if key_id.startswith(RANDOM):
            return self._random.results(key_id)
        try:
            return self._results[key_id]
        except KeyError:
            results = self._read_results(key_id)
        self._results.keep(key_id, results)
        return results

    def _read_results(self, key_id: str) -> Sequence[StoredResult]:
        rows = self._run(
            "SELECT id, created_us FROM results WHERE key = ? ORDER BY created_us DESC, id DESC",
            (key_id,),
        )
        return tuple(
            StoredResult(id, _EPOCH + timedelta(microseconds=created)) for id, created in rows
        )

    def result_ids(self) -> Sequence[str]:
        """All results that any key has."""
        stored = [row[0] for row in self._run("SELECT DISTINCT id FROM results")]
        return tuple(dict.fromkeys([*stored, *self._random.result_ids()]))

    def release_result(self, result_id: str) -> None:
        self._random.release_result(result_id)
        keys = [r[0] for r in self._run("SELECT key FROM results WHERE id = ?", (result_id,))]
        if not keys:
            return
        for key in keys:
            self._results.forget(key)
        self._write("DELETE FROM results WHERE id = ?", (result_id,))
        while keys:
            keys.extend(self._remove_if_dead(keys.pop()))

    def _remove_if_dead(self, key: str) -> list[str]:
        """Drop a key without results that leads nowhere; returns the keys that led to it."""
        alive = self._run(
            "SELECT EXISTS (SELECT 1 FROM results WHERE key = ?1)"
            " OR EXISTS (SELECT 1 FROM links WHERE source = ?1)",
            (key,),
        ).fetchone()
        if alive[0]:
            return []
        sources = [r[0] for r in self._run("SELECT source FROM links WHERE target = ?", (key,))]
        if sources:
            self._few_targets.clear()
            self._write("DELETE FROM links WHERE target = ?", (key,))
        return sources

    def flush(self) -> None:
        """Commit what was written. Raises `ResourceExhausted` when the disk is full."""
        if self._db.in_transaction:
            with self._writing("failed to save cache keys"):
                self._db.commit()
        self._writes = 0

    def close(self) -> None:
        self.flush()
        self._db.close()

    @contextlib.contextmanager
    def _writing(self, what: str) -> Iterator[None]:
        """What can't be written may take the whole transaction with it: nothing is remembered of
        that."""
        try:
            with own_disk_errors(what):
                yield
        except BaseException:
            self._results.clear()
            self._few_targets.clear()
            raise

    def _write(self, statement: str, values: tuple[object, ...]) -> None:
        with self._writing("failed to save a cache key"):
            if not self._db.in_transaction:
                self._run("BEGIN IMMEDIATE")
            self._run(statement, values)
        self._writes += 1
        if self._writes >= _BATCH:
            self.flush()


def _place(source_key: str, link: KeyLink) -> tuple[str, str, int, int, str]:
    """The values for `_LINKED`."""
    return source_key, link.digest, link.input_index, link.output_index, link.selector


def _open(path: Path) -> sqlite3.Connection:
    """Open the file. As it is only a cache, one that SQLite can't read is dropped."""
    with disk_errors("failed to open the cache keys"):
        db = open_derived(path, SCHEMA, what="cache keys")
    db.execute("PRAGMA cache_size = -32768")
    return db
