"""Build records on disk: one row each of the store's database, beside the leases of their blobs.

A record and what it holds are written in one transaction: either both survive a `kill -9`, or
neither does. So are blobs of it that are no files yet (`history.blobs`).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence, Set
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from croze.gotypes.moments import nanoseconds
from croze.store.db import Database, Value
from croze.store.open import Store

if TYPE_CHECKING:
    from croze.api import control_pb2

LEASE_PREFIX = "history/"
_WRITE: Final = (
    "INSERT OR REPLACE INTO history (ref, completed_us, pinned, data, blobs) VALUES (?, ?, ?, ?, ?)"
)
Row = tuple[Value, ...]
"""What is written of a record, beside its ref."""


class Age(Struct, frozen=True):
    """When an unpinned build was over, in seconds since the epoch."""

    ref: str
    completed_s: float


class Records:
    """Finished builds by ref."""

    def __init__(self, store: Store) -> None:
        self._db: Database = store.db
        self._store = store

    def row(self, ref: str) -> Row | None:
        """A record as it is written, for `put_back`."""
        rows = self._db.read(
            "SELECT completed_us, pinned, data, blobs FROM history WHERE ref = ?", ref
        )
        return rows[0] if rows else None

    def put_back(self, ref: str, row: Row | None) -> None:
        """Have the record that was there before the last `put`, however full the disk is; or none.
        The lease still holds its blobs: it only ever grows."""
        if row is None:
            self.delete(ref)
            return
        self._db.make_room()
        self._db.write(_WRITE, ref, *row)

    def put(self, record: control_pb2.BuildHistoryRecord, inline: Sequence[bytes] = ()) -> None:
        """Write, or write anew, and hold all blobs that the record names. `inline`: those that are
        no files yet."""
        values = (record.Ref, nanoseconds(record.CompletedAt) // 1000, int(record.pinned))
        with self._db.transaction():
            self._db.write(
                _WRITE,
                *values,
                record.SerializeToString(),
                _packed(inline) if inline else None,
            )
            self._store.leases.keep(LEASE_PREFIX + record.Ref, self._held(record), exactly=True)

    def inline(self) -> dict[str, Sequence[bytes]]:
        """The blobs that are in rows, by ref."""
        rows = self._db.read("SELECT ref, blobs FROM history WHERE blobs IS NOT NULL")
        return {str(ref): _unpacked(data) for ref, data in rows if isinstance(data, bytes)}

    def filed(self, refs: Set[str]) -> None:
        """The blobs in the rows of these are files now."""
        if refs:
            rows = [(ref,) for ref in refs]
            self._db.write_many("UPDATE history SET blobs = NULL WHERE ref = ?", rows)

    def get(self, ref: str) -> control_pb2.BuildHistoryRecord | None:
        """One record."""
        return next(self._parsed("SELECT data FROM history WHERE ref = ?", ref), None)

    def all(self) -> Iterator[control_pb2.BuildHistoryRecord]:
        """All records, by ref."""
        return self._parsed("SELECT data FROM history ORDER BY ref")

    def delete(self, ref: str) -> None:
        """Forget a record and let its blobs go, however full the disk is. Idempotent."""
        self._db.make_room()
        with self._db.transaction():
            self._db.write("DELETE FROM history WHERE ref = ?", ref)
            self._store.leases.drop(LEASE_PREFIX + ref)

    def ages(self) -> Sequence[Age]:
        """The ages of those that are not pinned, newest first."""
        rows = self._db.read(
            "SELECT ref, completed_us FROM history WHERE NOT pinned ORDER BY completed_us DESC"
        )
        return [Age(str(ref), int(us or 0) / 1e6) for ref, us in rows]

    def _parsed(self, sql: str, *values: str) -> Iterator[control_pb2.BuildHistoryRecord]:
        from croze.api import control_pb2

        for (data,) in self._db.read(sql, *values):
            assert isinstance(data, bytes)
            yield control_pb2.BuildHistoryRecord.FromString(data)

    def _held(self, record: control_pb2.BuildHistoryRecord) -> list[str]:
        """What is held of a record: of an image its manifests, configs and attestations, not its
        layers."""
        from croze.store.images import reach

        digests: set[str] = set()
        for descriptor in _results(record):
            reach(self._store.blobs, descriptor.digest, digests, layers=False)
        digests.update(descriptor.digest for descriptor in _own(record))
        return sorted(digests)


def _packed(inline: Sequence[bytes]) -> bytes:
    """Compressed, as a page takes SQLite longer to write than zlib."""
    return zlib.compress(msgspec.msgpack.encode(inline), 1)


def _unpacked(data: bytes) -> list[bytes]:
    return msgspec.msgpack.decode(zlib.decompress(data), type=list[bytes])


def descriptors(record: control_pb2.BuildHistoryRecord) -> Iterator[control_pb2.Descriptor]:
    """Everything that a record names."""
    yield from _own(record)
    yield from _results(record)


def _own(record: control_pb2.BuildHistoryRecord) -> Iterator[control_pb2.Descriptor]:
    """Blobs of the record itself, which name no others."""
    for field in ("logs", "trace", "externalError"):
        if record.HasField(field):
            yield getattr(record, field)
    for info in _infos(record):
        yield from info.Attestations


def _results(record: control_pb2.BuildHistoryRecord) -> Iterator[control_pb2.Descriptor]:
    for info in _infos(record):
        yield from info.Results.values()
        if info.HasField("ResultDeprecated"):
            yield info.ResultDeprecated


def _infos(record: control_pb2.BuildHistoryRecord) -> list[control_pb2.BuildResultInfo]:
    return [*record.Results.values(), *([record.Result] if record.HasField("Result") else [])]
