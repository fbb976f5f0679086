"""Leases: names for sets of blobs that must stay while something is under way, or for good."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence, Set
from functools import partial

from croze.store.blobs import DiskBlobStore
from croze.store.db import Database
from croze.store.images import reach


class MemoryLease:
    """See `Lease`. Lives as long as the work it is for."""

    def __init__(self, counts: Counter[str]) -> None:
        self._counts = counts
        self._held: set[str] = set()

    def hold(self, digest: str) -> None:
        """Keep a blob, which need not be there yet. Idempotent."""
        if digest not in self._held:
            self._held.add(digest)
            self._counts[digest] += 1

    def release(self) -> None:
        """Let all go. Idempotent."""
        self._counts.subtract(self._held)
        self._held.clear()


class Leases:
    """Who holds which blobs, beside records and images."""

    def __init__(self, db: Database, blobs: DiskBlobStore) -> None:
        self._db = db
        self._blobs = blobs
        self._counts: Counter[str] = Counter()
        self._open: dict[MemoryLease, float] = {}
        self._named: dict[str, set[str]] = {}
        self._exact: dict[str, set[str]] = {}
        for name, digest, exact in db.read("SELECT name, digest, exact FROM leases"):
            self._table(exact=bool(exact)).setdefault(str(name), set()).add(str(digest))

    @contextlib.asynccontextmanager
    async def lease(self) -> AsyncIterator[MemoryLease]:
        """See `RefStore.lease`. Dies with the process."""
        lease = MemoryLease(self._counts)
        self._open[lease] = time.monotonic()
        try:
            yield lease
        finally:
            lease.release()
            del self._open[lease]

    @property
    def longest_s(self) -> float:
        """How long there has been one that is open now; 0 if none is."""
        return time.monotonic() - min(self._open.values()) if self._open else 0.0

    def _table(self, *, exact: bool) -> dict[str, set[str]]:
        return self._exact if exact else self._named

    def keep(self, name: str, digests: Sequence[str], *, exactly: bool = False) -> None:
        """Hold blobs under a name, across restarts, until `drop`: with all that they name, or
        `exactly` these. Adds to what the name holds already."""
        table = self._table(exact=exactly)
        held = table.get(name, set())
        more = [digest for digest in digests if digest not in held]
        rows = [(name, digest, int(exactly)) for digest in more]
        with self._db.transaction():
            self._db.write_many("INSERT OR IGNORE INTO leases VALUES (?, ?, ?)", rows)
            table[name] = held.union(more)
            self._db.on_rollback(lambda: table.update({name: held}))

    def drop(self, name: str) -> None:
        """Let go what `keep` holds under the name. Idempotent."""
        with self._db.transaction():
            self._db.write("DELETE FROM leases WHERE name = ?", name)
            for table in (self._named, self._exact):
                if (held := table.pop(name, None)) is not None:
                    self._db.on_rollback(partial(table.__setitem__, name, held))

    def held_blobs(self) -> Set[str]:
        """The digests that leases hold, with what those name."""
        digests = set().union(*self._exact.values())
        tops = {d for d, count in self._counts.items() if count > 0}
        for digest in tops.union(*self._named.values()):
            reach(self._blobs, digest, digests)
        return digests
