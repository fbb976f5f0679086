"""All records, in memory for look-ups, in SQLite for good."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import partial
from typing import TypeVar

import msgspec

from croze.errors import CrozeError, NotFound
from croze.store.db import Database
from croze.store.records import RecordData, RefRecord

K = TypeVar("K")

FLUSH_DELAY_S = 2.0
"""How long usage is only in memory."""


class RecordTable:
    """All records with their indexes, on disk those that last. Counts children; keeps usage,
    written in batches."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._records: dict[str, RefRecord] = {}
        self._by_meta: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        self._by_chain: defaultdict[str, set[str]] = defaultdict(set)
        self._by_blob_chain: defaultdict[str, set[str]] = defaultdict(set)
        self._twins: dict[str, str] = {}
        self.doubted: set[str] = set()
        """Ids of doubted records."""
        self._snapshot_users: defaultdict[str, int] = defaultdict(int)
        self._stale_usage: set[str] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._load()

    def _load(self) -> None:
        decode = msgspec.msgpack.Decoder(RecordData).decode
        rows = self._db.read("SELECT data FROM records")
        every = [decode(data) for (data,) in rows if isinstance(data, bytes)]
        for each in filter(_lasts, every):
            self._index(RefRecord(each, each.created_ns))
        if unfinished := [each.id for each in every if not _lasts(each)]:
            self._erase(unfinished)  # by a version that wrote down what was under way, too
        for id, last_used_ns, count, size in self._db.read("SELECT * FROM usage"):
            if (record := self._records.get(str(id))) is not None:
                assert isinstance(last_used_ns, int)
                assert isinstance(count, int)
                record.last_used_ns = last_used_ns or record.last_used_ns
                record.usage_count = count
                record.snapshot_size = size if isinstance(size, int) else None
        for record in self._records.values():
            for parent in record.data.parents:
                if parent in self._records:
                    self._records[parent].children += 1

    def _index(self, record: RefRecord) -> None:
        data = record.data
        self._records[data.id] = record
        for item in data.meta.items():
            self._by_meta[item].add(data.id)
        if data.chain_id:
            self._by_chain[data.chain_id].add(data.id)
        if data.blob_chain_id:
            self._by_blob_chain[data.blob_chain_id].add(data.id)
        if data.twin:
            self._twins[data.twin] = data.id
        if data.doubted:
            self.doubted.add(data.id)
        if data.snapshot:
            self._snapshot_users[data.snapshot] += 1

    def _unindex(self, record: RefRecord) -> None:
        data = record.data
        for item in data.meta.items():
            _leave(self._by_meta, item, data.id)
        _leave(self._by_chain, data.chain_id, data.id)
        _leave(self._by_blob_chain, data.blob_chain_id, data.id)
        self._twins.pop(data.twin, None)
        self.doubted.discard(data.id)
        if data.snapshot:
            self._snapshot_users[data.snapshot] -= 1
        del self._records[data.id]

    def __contains__(self, id: str) -> bool:
        return id in self._records

    def get(self, id: str) -> RefRecord:
        """The record of that id. Raises `NotFound`."""
        if (record := self._records.get(id)) is None:
            raise NotFound(f"ref {id} not found")
        return record

    def all(self) -> Sequence[RefRecord]:
        """A copy, safe while records come and go."""
        return tuple(self._records.values())

    def find(self, **meta: str) -> Sequence[RefRecord]:
        """Records with all these values, most recently used first."""
        sets = [self._by_meta.get(item, set()) for item in meta.items()]
        ids = set.intersection(*sets) if sets else set()
        return sorted((self._records[i] for i in ids), key=lambda r: (r.last_used_ns, r.id))[::-1]

    def by_chain(self, chain_id: str) -> Sequence[RefRecord]:
        """Records of immutable states with this chain of diff IDs."""
        return [self._records[i] for i in sorted(self._by_chain.get(chain_id, ()))]

    def by_blob_chain(self, blob_chain_id: str) -> Sequence[RefRecord]:
        """Records with exactly this chain of blobs."""
        return [self._records[i] for i in sorted(self._by_blob_chain.get(blob_chain_id, ()))]

    def twin_of(self, record: RefRecord) -> RefRecord | None:
        """The read-only record over a retained mutable one, or the other way round."""
        other = record.data.twin or self._twins.get(record.id, "")
        return self._records.get(other)

    def held(self, record: RefRecord) -> bool:
        """Whether a handle or a child forbids deleting it."""
        twin = self.twin_of(record)
        return record.held or (twin is not None and twin.held)

    def snapshot_users(self, key: str) -> int:
        """How many records stand on a snapshot."""
        return self._snapshot_users.get(key, 0)

    def transaction(self) -> contextlib.AbstractContextManager[None]:
        """See `Database.transaction`. What comes to nothing is as before in memory, too."""
        return self._db.transaction()

    def add(self, data: RecordData) -> RefRecord:
        """Store a new record over existing parents."""
        parents = [self.get(p) for p in data.parents]
        data.created_ns = data.created_ns or time.time_ns()
        record = RefRecord(data, time.time_ns())
        if not _lasts(data):
            self._add(record, parents)
            return record
        with self._db.transaction():
            self._write(data)
            self._add(record, parents)
            self._db.on_rollback(lambda: self._forget(record))
        return record

    def _add(self, record: RefRecord, parents: Sequence[RefRecord]) -> None:
        self._index(record)
        self._write_later(record)
        for parent in parents:
            parent.children += 1

    def change(self, record: RefRecord, **values: object) -> None:
        """Replace fields of a record, on disk and then in memory. No-op for a deleted record.
        Parents can't be changed but to none."""
        if record.gone:
            return
        old, new = record.data, msgspec.structs.replace(record.data, **values)
        if new == old:
            return
        if not (_lasts(old) or _lasts(new)):
            self._replace(record, new)
            return
        with self._db.transaction():
            if _lasts(new):
                self._write(new)
            else:
                self._erase([record.id])
            self._replace(record, new)
            self._db.on_rollback(lambda: self._replace(record, old))

    def _replace(self, record: RefRecord, data: RecordData) -> None:
        before = record.data
        self._unindex(record)
        record.data = data
        self._index(record)
        if before.parents != data.parents:
            for parent in before.parents:
                self._records[parent].children -= 1
            for parent in data.parents:
                self._records[parent].children += 1
        if not _lasts(before):
            self._write_later(record)

    def _write(self, data: RecordData) -> None:
        self._db.write(
            "INSERT OR REPLACE INTO records VALUES (?, ?)", data.id, msgspec.msgpack.encode(data)
        )

    def remove(self, records: Iterable[RefRecord]) -> None:
        """Forget records in one transaction; their snapshots and blobs are the caller's."""
        chosen = [r for r in records if not r.gone]
        if not (lasting := [r for r in chosen if _lasts(r.data)]):
            self._forget_all(chosen)
            return
        with self._db.transaction():
            self._erase([record.id for record in lasting])
            self._forget_all(chosen)

    def _erase(self, ids: Sequence[str]) -> None:
        """Delete all that there is on disk, however full that is."""
        rows = [(id,) for id in ids]
        self._db.make_room()
        with self._db.transaction():
            self._db.write_many("DELETE FROM records WHERE id = ?", rows)
            self._db.write_many("DELETE FROM usage WHERE id = ?", rows)

    def _forget_all(self, records: Sequence[RefRecord]) -> None:
        for record in records:
            self._forget(record)
            self._db.on_rollback(partial(self._recall, record))

    def _recall(self, record: RefRecord) -> None:
        """The record is there after all."""
        record.gone = False
        self._add(record, [self._records[p] for p in record.data.parents if p in self._records])

    def _forget(self, record: RefRecord) -> None:
        self._unindex(record)
        self._stale_usage.discard(record.id)
        record.gone = True
        for parent in record.data.parents:
            if parent in self._records:
                self._records[parent].children -= 1

    def restore_ballast(self) -> bool:
        """After deletions: keep room for the next ones."""
        return self._db.restore_ballast()

    def used(self, record: RefRecord) -> None:
        """A use has ended, now. Written with others a little later. Twins are one directory: what
        is used of one is used of the other."""
        if record.gone:
            return
        twin = self.twin_of(record)
        both = (record, twin) if twin is not None else (record,)
        now, count = time.time_ns(), max(r.usage_count for r in both) + 1
        for one in both:
            one.last_used_ns, one.usage_count = now, count
            self._write_later(one)

    def measured(self, record: RefRecord, snapshot_size: int) -> None:
        """Remember the size of a snapshot that can't change any more."""
        record.snapshot_size = snapshot_size
        self._write_later(record)

    def _write_later(self, record: RefRecord) -> None:
        self._stale_usage.add(record.id)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_DELAY_S, self.flush_quietly)

    def flush_quietly(self) -> None:
        """A disk that is full, or broken, loses usage: it only ranks what to delete."""
        with contextlib.suppress(CrozeError):
            self.flush()

    def flush(self) -> None:
        """Write the usage that is only in memory."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        stale = [self._records[i] for i in self._stale_usage if i in self._records]
        records = [record for record in stale if _lasts(record.data)]
        if records:
            self._db.write_many(
                "INSERT OR REPLACE INTO usage VALUES (?, ?, ?, ?)",
                [(r.id, r.last_used_ns, r.usage_count, r.snapshot_size) for r in records],
            )
        self._stale_usage.clear()


def _leave(index: dict[K, set[str]], key: K, id: str) -> None:
    """Nothing is left of a key that nobody has."""
    if (ids := index.get(key)) is not None:
        ids.discard(id)
        if not ids:
            del index[key]


def _lasts(data: RecordData) -> bool:
    """Whether it is there after a restart: what is being written is not, and never was on disk."""
    return (data.retained or not data.mutable) and not data.unwritten
