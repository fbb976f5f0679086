"""How much disk a record takes; a snapshot that can't change is measured once."""

from __future__ import annotations

from croze.store.core import Core
from croze.store.records import RefRecord


async def record_size(core: Core, record: RefRecord) -> int:
    """Bytes of the record's own snapshot and blobs; 0 for a mutable one in use, as it changes."""
    if record.data.mutable and record.handles:
        return 0
    await record.is_written()
    return await _snapshot_size(core, record) + blob_size(core, record)


async def _snapshot_size(core: Core, record: RefRecord) -> int:
    key = record.data.snapshot
    if key is None:
        return 0
    if record.data.mutable or record.data.twin:
        return await core.snapshots.usage(key)
    if record.snapshot_size is None:
        core.table.measured(record, await core.snapshots.usage(key))
    return record.snapshot_size or 0


def blob_size(core: Core, record: RefRecord) -> int:
    """Bytes of the record's blobs that are here."""
    blobs = [record.data.blob, *record.data.variants.values()]
    digests = {b.descriptor.digest for b in blobs if b is not None}
    return sum(core.blobs.size(d) for d in digests if core.blobs.has(d))
