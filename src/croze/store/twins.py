"""Retained mutable records: a read-only *twin* shows them until they are written again."""

from __future__ import annotations

from croze.errors import AlreadyExists, NotFound
from croze.identity import new_id
from croze.store.contract import CACHE_MOUNT, WriteRest
from croze.store.core import Core
from croze.store.records import RecordData, RefRecord
from croze.store.write_behind import write_behind


def retain(core: Core, record: RefRecord, rest: WriteRest | None = None) -> RefRecord:
    """A new read-only record over a mutable one, which stays. With `rest` its files are written
    from now on."""
    if rest is not None:
        core.table.change(record, retained=True, unwritten=True)
        twin = core.table.add(_twin_of(record))
        write_behind(core, record, twin, rest)
    else:
        with core.table.transaction():
            core.retain(record)
            twin = core.table.add(_twin_of(record))
    twin.usage_count = record.usage_count
    return twin


def _twin_of(record: RefRecord) -> RecordData:
    data = record.data
    return RecordData(
        id=new_id(),
        parents=data.parents,
        snapshot=data.snapshot,
        twin=data.id,
        record_type=data.record_type,
        description=data.description,
        unwritten=data.unwritten,
    )


async def take(core: Core, id: str) -> RefRecord:
    """A mutable record for writing; what was read-only of it is gone. See
    `RefStore.get_mutable`."""
    record = core.table.get(id)
    if not record.data.mutable or not await record.is_written() or record.gone:
        raise NotFound(f"ref {id} is not mutable")  # or not any more: others waited for it, too
    if core.table.held(record):
        raise AlreadyExists(f"ref {id} is in use")
    if (twin := core.table.twin_of(record)) is not None:
        record.handles += 1
        try:
            await core.delete([twin])
        finally:
            record.handles -= 1
    if record.data.record_type != CACHE_MOUNT:
        core.snapshots.rewrite(core.snapshot(record))
    return record


async def finalize(core: Core, record: RefRecord) -> None:
    """Make the read-only record stand by itself, before something is built on it: the mutable one
    under it is given up."""
    await record.written()
    async with record.lock:
        below = core.table.twin_of(record) if record.data.twin else None
        if below is None:
            return
        with core.table.transaction():
            core.snapshots.commit(core.snapshot(record))
            # It is a layer like others now, and goes with them.
            core.table.change(record, twin="", side=below.id, record_type="regular")
            core.table.remove([below])
