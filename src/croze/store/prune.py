"""`du` and `prune`: what there is, and the deletion of what the choice says."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Iterator, Sequence

from croze.aio.parallel import first_error
from croze.store.contract import PrunePolicy, UsageRecord
from croze.store.core import Core
from croze.store.filters import parse
from croze.store.gc import DiskStat, PruneCandidate, choose, fields
from croze.store.images import DiskImageStore
from croze.store.leases import Leases
from croze.store.records import RefRecord, utc
from croze.store.sizes import record_size

log = logging.getLogger(__name__)

IDLE_S = 60.0
"""A blob that nothing holds stays this long after its last use, if work is under way that began
before that: it may have been fetched for what is about to hold it."""

_MEASURED_AT_ONCE = 4


def disk_stat(core: Core) -> DiskStat:
    """The filesystem that the store is on."""
    stat = os.statvfs(core.root)
    unit = stat.f_frsize
    return DiskStat(stat.f_blocks * unit, stat.f_bfree * unit)


async def usage_records(core: Core) -> Sequence[PruneCandidate]:
    """All records, one of each pair of twins, with their sizes."""
    records = [r for r in core.table.all() if _shown(core, r)]
    sizes: dict[str, int] = {}

    async def measure(rest: Iterator[RefRecord]) -> None:
        for record in rest:
            await asyncio.sleep(0)  # most are known, and there may be thousands
            try:
                sizes[record.id] = 0 if record.gone else await record_size(core, record)
            except OSError as error:
                # Whatever a step has made of its files: the others are told of, and removed.
                log.warning("the size of record %s is not known: %s", record.id, error)
                sizes[record.id] = 0

    rest = iter(records)
    async with first_error(), asyncio.TaskGroup() as group:
        for _ in range(_MEASURED_AT_ONCE):
            group.create_task(measure(rest))
    held = _held_by_handles(core)
    return [_candidate(r, sizes[r.id], held) for r in records if not r.gone]


def _shown(core: Core, record: RefRecord) -> bool:
    twin = core.table.twin_of(record)
    if twin is None:
        return True
    return twin.handles == 0 if record.data.mutable else record.handles > 0


def _held_by_handles(core: Core) -> set[str]:
    """Ids of records that a handle holds, itself or through children."""
    waiting = [r for r in core.table.all() if r.handles]
    held: set[str] = set()
    while waiting:
        record = waiting.pop()
        if record.id not in held:
            held.add(record.id)
            waiting += [core.table.get(p) for p in record.data.parents if p in core.table]
    return held


def _candidate(record: RefRecord, size: int, held: set[str]) -> PruneCandidate:
    data = record.data
    in_use = record.id in held
    usage = UsageRecord(
        id=record.id,
        mutable=data.mutable,
        in_use=in_use,
        size=size,
        parents=data.parents,
        created_at=utc(data.created_ns),
        last_used_at=utc(record.last_used_ns),
        usage_count=record.usage_count,
        description=data.description,
        record_type=data.record_type,
    )
    return PruneCandidate(usage, in_use)


async def disk_usage(core: Core, filters: Sequence[str], unused_s: float) -> Sequence[UsageRecord]:
    """See `RefStore.disk_usage`."""
    matches, cutoff = parse(filters), time.time() - unused_s
    records = await usage_records(core)
    return [
        c.usage
        for c in records
        if matches(fields(c.usage)) and not (unused_s > 0 and c.last_used > cutoff)
    ]


async def prune(core: Core, policies: Sequence[PrunePolicy]) -> AsyncIterator[UsageRecord]:
    """See `RefStore.prune`, but for the blobs."""
    for policy in policies:
        parse(policy.filters)
    for policy in policies:
        records = await usage_records(core)
        by_id = {c.usage.id: c.usage for c in records}
        for id in choose(records, policy, disk_stat(core), time.time()):
            if await _delete(core, id):
                yield by_id[id]
        # What one policy deletes must be off the disk before the next looks at free space.
        await core.trash.empty()


async def _delete(core: Core, id: str) -> bool:
    """Delete unless something took hold of it since it was chosen."""
    if id not in core.table:
        return False
    record = core.table.get(id)
    await record.is_written()
    if record.gone or core.table.held(record):
        return False
    twin = core.table.twin_of(record)
    await core.delete([record, twin] if twin else [record])
    return True


def collect_blobs(core: Core, images: DiskImageStore, leases: Leases) -> int:
    """Delete the blobs that no record, image or lease holds; returns the bytes freed."""
    held = {*images.held_blobs(), *leases.held_blobs()}
    for record in core.table.all():
        for blob in (record.data.blob, *record.data.variants.values()):
            if blob is not None:
                held.add(blob.descriptor.digest)
    in_hand = any(record.handles for record in core.table.all())
    spared_s = IDLE_S if in_hand else min(leases.longest_s, IDLE_S)
    freed = 0
    for digest in core.blobs.digests():
        if digest in held or core.blobs.idle_s(digest) < spared_s:
            continue
        freed += core.blobs.size(digest)
        core.blobs.delete(digest)
    return freed
