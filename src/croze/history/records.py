"""Build records on disk: one row each of the store's database, beside the leases of their blobs.

A record and what it holds are written in one transaction: either both survive a `kill -9`, or
neither does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct

from croze.api import control_pb2
from croze.gotypes.moments import nanoseconds
from croze.store.db import Database
from croze.store.images import reach
from croze.store.open import Store

LEASE_PREFIX = "history/"


class Age(Struct, frozen=True):
    """When an unpinned build was over, in seconds since the epoch."""

    ref: str
    completed_s: float


class Records:
    """Finished builds by ref."""

    def __init__(self, store: Store) -> None:
        self._db: Database = store.db
        self._leases = store.leases
        self._blobs = store.blobs

    def put(self, record: control_pb2.BuildHistoryRecord) -> None:
        """Write, or write anew, and hold all blobs that the record names."""
        values = (record.Ref, nanoseconds(record.CompletedAt) // 1000, int(record.pinned))
        with self._db.transaction():
            self._db.write(
                "INSERT OR REPLACE INTO history VALUES (?, ?, ?, ?)",
                *values,
                record.SerializeToString(),
            )
            self._leases.keep(LEASE_PREFIX + record.Ref, self._held(record), exactly=True)

    def get(self, ref: str) -> control_pb2.BuildHistoryRecord | None:
        """One record."""
        return next(self._parsed("SELECT data FROM history WHERE ref = ?", ref), None)

    def all(self) -> Iterator[control_pb2.BuildHistoryRecord]:
        """All records, by ref."""
        return self._parsed("SELECT data FROM history ORDER BY ref")

    def delete(self, ref: str) -> None:
        """Forget a record and let its blobs go. Idempotent."""
        with self._db.transaction():
            self._db.write("DELETE FROM history WHERE ref = ?", ref)
            self._leases.drop(LEASE_PREFIX + ref)

    def ages(self) -> Sequence[Age]:
        """The ages of those that are not pinned, newest first."""
        rows = self._db.read(
            "SELECT ref, completed_us FROM history WHERE NOT pinned ORDER BY completed_us DESC"
        )
        return [Age(str(ref), int(us or 0) / 1e6) for ref, us in rows]

    def _parsed(self, sql: str, *values: str) -> Iterator[control_pb2.BuildHistoryRecord]:
        for (data,) in self._db.read(sql, *values):
            assert isinstance(data, bytes)
            yield control_pb2.BuildHistoryRecord.FromString(data)

    def _held(self, record: control_pb2.BuildHistoryRecord) -> list[str]:
        """What is held of a record: of an image its manifests, configs and attestations, not its
        layers."""
        digests: set[str] = set()
        for descriptor in descriptors(record):
            reach(self._blobs, descriptor.digest, digests, layers=False)
        return sorted(digests)


def descriptors(record: control_pb2.BuildHistoryRecord) -> Iterator[control_pb2.Descriptor]:
    """Everything that a record names."""
    for field in ("logs", "trace", "externalError"):
        if record.HasField(field):
            yield getattr(record, field)
    infos = [*record.Results.values(), *([record.Result] if record.HasField("Result") else [])]
    for info in infos:
        yield from info.Attestations
        yield from info.Results.values()
        if info.HasField("ResultDeprecated"):
            yield info.ResultDeprecated
