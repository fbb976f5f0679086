"""The parts that the operations on refs share. One per store; nothing here is for other rooms."""

from __future__ import annotations

import itertools
import os
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec import Struct, field

from croze.aio.locks import KeyedLocks
from croze.errors import NotFound
from croze.store.blobs import DiskBlobStore
from croze.store.contract import BlobFetcher
from croze.store.delayed_write import DelayedWrite
from croze.store.records import RefRecord
from croze.store.table import RecordTable
from croze.store.trash import Trash
from croze.workers.pool import Pool

if TYPE_CHECKING:
    from croze.store.snapshots.contract import LayerSnapshotter

STACKABLE = "-stackable"
"""Suffix of the key of a snapshot that stands in for another in stacks."""
_CHAINS: Final = 10_000
_CLAIMS: Final = 100
"""How many are remembered, and of each chain how many claim to be it."""

Fetchers = Callable[[Mapping[str, str]], BlobFetcher]
"""Makes the fetcher of a lazy layer anew from its origin. Raises `NotFound` if it can't."""


class Claims:
    """Chains of blobs that images have lately claimed to have the contents of a chain of diff IDs;
    the oldest are forgotten."""

    def __init__(self) -> None:
        self._by_chain: OrderedDict[str, set[str]] = OrderedDict()

    def add(self, chain_id: str, blob_chain_id: str) -> None:
        """Note what an image claims. So many are kept of each chain, and those of the latest chains
        alone."""
        claims = self._by_chain.setdefault(chain_id, set())
        if len(claims) < _CLAIMS:
            claims.add(blob_chain_id)
        self._by_chain.move_to_end(chain_id)
        if len(self._by_chain) > _CHAINS:
            self._by_chain.popitem(last=False)

    def of(self, chain_id: str) -> Collection[str]:
        return self._by_chain.get(chain_id, ())


class Core(Struct):
    """The store's state and backends."""

    root: Path
    table: RecordTable
    blobs: DiskBlobStore
    snapshots: LayerSnapshotter
    pool: Pool
    trash: Trash
    fetchers: Fetchers
    fetching: KeyedLocks[str] = field(default_factory=KeyedLocks)
    """A lock for each digest that is being fetched."""
    claims: Claims = field(default_factory=Claims)
    behind: set[DelayedWrite] = field(default_factory=set)
    """What is left to be written of refs that have been given out."""
    free_mount_paths: list[Path] = field(default_factory=list)
    numbers: itertools.count[int] = field(default_factory=itertools.count)

    def parent(self, record: RefRecord) -> RefRecord | None:
        """The record that a layer record lies on; None for the lowest one, and for a stack."""
        if record.data.stack is not None or not record.data.parents:
            return None
        return self.table.get(record.data.parents[0])

    def layers(self, record: RefRecord) -> list[RefRecord]:
        """The records whose own layers make up this state, base first."""
        above: list[RefRecord] = []
        at: RefRecord | None = record
        while at is not None:
            if at.data.stack is not None:
                return [self.table.get(i) for i in at.data.stack] + above[::-1]
            above.append(at)
            at = self.parent(at)
        return above[::-1]

    def snapshot(self, record: RefRecord) -> str:
        """The record's snapshot. Raises `NotFound` while it is lazy."""
        if record.data.snapshot is None:
            raise NotFound(f"ref {record.id} has no snapshot yet")
        return record.data.snapshot

    def is_lazy(self, record: RefRecord) -> bool:
        """Whether something must be fetched or unpacked before it can be mounted."""
        if record.data.snapshot is not None:
            return False
        return any(r.data.snapshot is None for r in self.layers(record))

    def fetcher(self, record: RefRecord) -> BlobFetcher:
        """What gets the bytes of a lazy record's blob. Raises `NotFound` where nothing says how."""
        if record.fetcher is None:
            if record.data.origin is None:
                raise NotFound(f"ref {record.id}: its blob is gone and has no origin")
            record.fetcher = self.fetchers(record.data.origin)
        return record.fetcher

    def is_lost(self, record: RefRecord) -> bool:
        """Whether something of it is doubted, could not be written, or must be fetched and is known
        to be out of reach."""
        if record.is_unwritable:
            return True
        doubted = self.table.doubted
        if doubted and any(layer.id in doubted for layer in self.layers(record)):
            return True
        if record.data.snapshot is not None:
            return False
        return any(self._out_of_reach(r) for r in self.layers(record))

    def _out_of_reach(self, record: RefRecord) -> bool:
        blob = record.data.blob
        if record.data.snapshot is not None or blob is None:
            return False
        if self.blobs.has(blob.descriptor.digest) or record.data.origin is None:
            return False
        try:
            return record.unfetched or self.fetcher(record).spent
        except NotFound:
            return True

    def commit(self, record: RefRecord, key: str, **values: object) -> None:
        """The record is what is in this snapshot, which is finished; `values` change with it."""
        with self.table.transaction():
            self.snapshots.commit(key)
            self.table.change(record, snapshot=key, **values)

    def retain(self, record: RefRecord, **values: object) -> None:
        """A mutable record outlives its handles from now on; `values` change with it."""
        with self.table.transaction():
            self.snapshots.save(self.snapshot(record))
            self.table.change(record, retained=True, **values)

    async def drop_snapshot(self, key: str | None) -> None:
        """Remove a snapshot that no record stands on any more."""
        if key is not None and self.table.snapshot_users(key) == 0:
            await self.snapshots.remove(key + STACKABLE)
            await self.snapshots.remove(key)

    def side_dir(self, record: RefRecord) -> Path:
        """Where derived data of a record's content is. A read-only record over a mutable one
        shares its."""
        return self.root / "side" / (record.data.side or record.data.twin or record.id)

    def new_mount_path(self) -> Path:
        """An empty directory to mount on; give it back to `free_mount_paths`."""
        if self.free_mount_paths:
            return self.free_mount_paths.pop()
        path = self.root / "mnt" / f"{os.getpid()}-{next(self.numbers)}"
        path.mkdir()
        return path

    async def delete(self, records: Sequence[RefRecord]) -> None:
        """Delete records that nothing holds, with what only they had. Blobs are left to the
        collector."""
        self.table.remove(records)
        for record in records:
            if record.data.twin == "" or record.data.twin not in self.table:
                self.trash.discard(self.side_dir(record))
            await self.drop_snapshot(record.data.snapshot)
