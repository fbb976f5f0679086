"""Lazy refs become real: layers are downloaded in parallel, and unpacked in order as they come."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Final

from croze.aio.parallel import first_error
from croze.errors import Corrupted, CrozeError, NotFound
from croze.fs.tar.apply import apply_layer, diff_id_of
from croze.fs.tar.arriving import ArrivesTooSlowly
from croze.identity import new_id
from croze.store.arrival import Arrival
from croze.store.core import Core
from croze.store.disk import disk_errors
from croze.store.records import Blob, RefRecord
from croze.store.stacks import assemble
from croze.store.watch_contract import BlobWatch

FETCHED_AT_ONCE: Final = 16
"""Blobs of one state that are fetched, or made: each has files open, and an image may have any
number of layers. A registry is asked for fewer at once (`registry.client`)."""


async def unlazy(core: Core, record: RefRecord, sessions: Sequence[str] = ()) -> None:
    """Fetch and unpack what is missing. Idempotent; concurrent calls share the work. When one is
    cancelled, another that waits takes over."""
    if record.data.snapshot is not None:
        await record.written()
        return
    missing = _missing(core, record)
    layers = [r for r in missing if r.data.stack is None]
    arrivals = {r.id: Arrival(_size(r)) for r in layers}
    slots = asyncio.Semaphore(FETCHED_AT_ONCE)
    try:
        async with first_error(), asyncio.TaskGroup() as group:
            fetches = {
                r.id: _Fetch(a, _fetch(core, r, sessions, a, slots), group)
                for r, a in zip(layers, arrivals.values(), strict=True)
            }
            for item in missing:
                if item.data.stack is None:
                    fetch = fetches[item.id]
                    await _materialise(core, item, sessions, fetch)
                    if fetch.done.done():
                        fetch.arrival.close()
                else:
                    await _stack(core, item)
    finally:
        for arrival in arrivals.values():
            arrival.close()


class _Fetch:
    """A layer's blob, on its way."""

    def __init__(
        self, arrival: Arrival, work: Coroutine[None, None, None], group: asyncio.TaskGroup
    ) -> None:
        self.arrival = arrival
        self.done = group.create_task(work)


def _missing(core: Core, record: RefRecord) -> list[RefRecord]:
    """Records without a snapshot that must get one, in an order that works."""
    order: dict[str, RefRecord] = {}

    def visit(item: RefRecord) -> None:
        if item.data.snapshot is not None or item.id in order:
            return
        below = [core.table.get(i) for i in item.data.stack or item.data.parents]
        for lower in below:
            visit(lower)
        order[item.id] = item

    for layer in core.layers(record):
        visit(layer)
    visit(record)
    return list(order.values())


def _same(core: Core, record: RefRecord) -> str | None:
    """The snapshot of another record that is said to have the same content, if there is one."""
    candidates = core.table.by_chain(record.data.chain_id) if record.data.chain_id else ()
    return next(
        (other.data.snapshot for other in candidates if other.data.snapshot is not None), None
    )


def _blob(record: RefRecord) -> Blob:
    if record.data.blob is None:
        raise NotFound(f"ref {record.id} has neither a snapshot nor a blob")
    return record.data.blob


def _size(record: RefRecord) -> int:
    return record.data.blob.descriptor.size if record.data.blob is not None else 0


async def _fetch(
    core: Core,
    record: RefRecord,
    sessions: Sequence[str],
    arrival: Arrival,
    slots: asyncio.Semaphore,
) -> None:
    try:
        async with slots:
            if record.data.snapshot is None:
                await fetch_blob(core, record, _blob(record), sessions, arrival)
    finally:
        arrival.on_complete()
        arrival.is_near.set()
        if not arrival.is_read:
            arrival.close()


async def fetch_blob(
    core: Core,
    record: RefRecord,
    blob: Blob,
    sessions: Sequence[str],
    watch: BlobWatch | None = None,
) -> None:
    """Make sure that a layer's blob is in the blob store."""
    digest = blob.descriptor.digest
    if core.blobs.has(digest):
        return
    async with core.fetching.of(digest):
        if not core.blobs.has(digest):
            try:
                blobs = core.blobs.watched(watch) if watch is not None else core.blobs
                await core.fetcher(record).fetch(blob.descriptor, blobs, sessions)
            except (NotFound, Corrupted):
                record.unfetched = True
                raise


async def _materialise(
    core: Core, record: RefRecord, sessions: Sequence[str], fetch: _Fetch
) -> None:
    await fetch.arrival.is_near.wait()
    async with record.lock:
        if record.data.snapshot is not None:
            return
        blob = _blob(record)
        digest = blob.descriptor.digest
        try:
            same = _same(core, record)
            if same is None and await _unpack_arriving(core, record, blob, fetch):
                return
            await fetch.done
            await fetch_blob(core, record, blob, sessions)
            if same is not None:
                await _prove(core, record, blob, same)
            else:
                await _unpack(core, record, blob)
        except Corrupted:
            if core.blobs.has(digest):
                core.table.change(record, doubted=True)
            raise


async def _unpack_arriving(core: Core, record: RefRecord, blob: Blob, fetch: _Fetch) -> bool:
    """Unpack what is still on its way, if it is; False if it comes in another way, or too slowly.
    It counts only once the blob has been verified."""
    arrival = fetch.arrival
    if fetch.done.done() or arrival.attempts != 1:
        return False
    arrival.is_read = True
    async with _new_snapshot(core, record) as key:
        try:
            diff_id = await _apply(core, key, blob, arrival)
        except ArrivesTooSlowly:
            return False
        except CrozeError:
            await fetch.done  # what is wrong with the blob says more
            if arrival.attempts == 1:
                raise
            return False
        await fetch.done
        if arrival.attempts != 1:
            return False
        _check(blob, diff_id)
        core.commit(record, key, doubted=False)
        return True


async def _prove(core: Core, record: RefRecord, blob: Blob, same: str) -> None:
    """Stand on the snapshot of another record, if the blob has what it was said to have. Only then:
    whoever gets the files of the one must not get the blobs of the other."""
    path = os.fspath(core.blobs.path(blob.descriptor.digest))
    _check(blob, await core.pool.run(diff_id_of, path, blob.descriptor.media_type))
    if core.table.snapshot_users(same):
        core.table.change(record, snapshot=same, doubted=False)
    else:
        await _unpack(core, record, blob)


async def _unpack(core: Core, record: RefRecord, blob: Blob) -> None:
    async with _new_snapshot(core, record) as key:
        _check(blob, await _apply(core, key, blob))
        core.commit(record, key, doubted=False)


@asynccontextmanager
async def _new_snapshot(core: Core, record: RefRecord) -> AsyncIterator[str]:
    """One to unpack into, which goes unless the record has it in the end."""
    parent = core.parent(record)
    key = new_id()
    await core.snapshots.prepare(key, core.snapshot(parent) if parent else None)
    try:
        yield key
    finally:
        await core.drop_snapshot(key)


def _check(blob: Blob, diff_id: str) -> None:
    if diff_id != blob.diff_id:
        raise Corrupted(
            f"layer {blob.descriptor.digest} has diff ID {diff_id}, expected {blob.diff_id}"
        )


async def _apply(core: Core, key: str, blob: Blob, arrival: Arrival | None = None) -> str:
    """The diff ID of what was unpacked."""
    lowers = [os.fspath(p) for p in reversed(core.snapshots.lowers(key))]
    target = core.snapshots.upper(key) or core.snapshots.mounts(key)[0].source
    digest = blob.descriptor.digest
    path = arrival.path if arrival is not None else os.fspath(core.blobs.path(digest))
    with disk_errors(f"failed to unpack layer {digest}"):
        return await core.pool.run(
            apply_layer,
            path,
            blob.descriptor.media_type,
            os.fspath(target),
            overlay=bool(lowers),
            parents=tuple(lowers),
            news=arrival.news if arrival is not None else None,
        )


async def _stack(core: Core, record: RefRecord) -> None:
    async with record.lock:
        if record.data.snapshot is None:
            await assemble(core, record)
