"""Lazy refs become real: layers are downloaded in parallel and unpacked in order."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence

from croze.aio.parallel import first_error
from croze.errors import Corrupted, NotFound
from croze.fs.tar.apply import apply_layer, diff_id_of
from croze.store.core import Core
from croze.store.disk import disk_errors
from croze.store.records import Blob, RefRecord, new_id
from croze.store.stacks import assemble


async def unlazy(core: Core, record: RefRecord, sessions: Sequence[str] = ()) -> None:
    """Fetch and unpack what is missing. Idempotent; concurrent calls share the work. When one is
    cancelled, another that waits takes over."""
    if record.data.snapshot is not None:
        return
    missing = _missing(core, record)
    layers = [r for r in missing if r.data.stack is None]
    async with first_error(), asyncio.TaskGroup() as group:
        fetches = {r.id: group.create_task(_fetch(core, r, sessions)) for r in layers}
        for item in missing:
            if item.data.stack is None:
                await fetches[item.id]
                await _materialise(core, item, sessions)
            else:
                await _stack(core, item)


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


async def _fetch(core: Core, record: RefRecord, sessions: Sequence[str]) -> None:
    if record.data.snapshot is None:
        await fetch_blob(core, record, _blob(record), sessions)


async def fetch_blob(core: Core, record: RefRecord, blob: Blob, sessions: Sequence[str]) -> None:
    """Make sure that a layer's blob is in the blob store."""
    digest = blob.descriptor.digest
    if core.blobs.has(digest):
        return
    async with core.fetching.setdefault(digest, asyncio.Lock()):
        if not core.blobs.has(digest):
            try:
                await core.fetcher(record).fetch(blob.descriptor, core.blobs, sessions)
            except (NotFound, Corrupted):
                record.unfetched = True
                raise


async def _materialise(core: Core, record: RefRecord, sessions: Sequence[str]) -> None:
    async with record.lock:
        if record.data.snapshot is not None:
            return
        blob = _blob(record)
        await fetch_blob(core, record, blob, sessions)
        try:
            if (same := _same(core, record)) is not None:
                await _prove(core, record, blob, same)
            else:
                await _unpack(core, record, blob)
        except Corrupted:
            core.table.change(record, doubted=True)
            raise


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
    parent = core.parent(record)
    key = new_id()
    await core.snapshots.prepare(key, core.snapshot(parent) if parent else None)
    try:
        _check(blob, await _apply(core, key, blob))
        await core.snapshots.commit(key)
        core.table.change(record, snapshot=key, doubted=False)
    finally:
        await core.drop_snapshot(key)


def _check(blob: Blob, diff_id: str) -> None:
    if diff_id != blob.diff_id:
        raise Corrupted(
            f"layer {blob.descriptor.digest} has diff ID {diff_id}, expected {blob.diff_id}"
        )


async def _apply(core: Core, key: str, blob: Blob) -> str:
    """The diff ID of what was unpacked."""
    lowers = [os.fspath(p) for p in reversed(core.snapshots.lowers(key))]
    target = core.snapshots.upper(key) or core.snapshots.mounts(key)[0].source
    digest = blob.descriptor.digest
    with disk_errors(f"failed to unpack layer {digest}"):
        return await core.pool.run(
            apply_layer,
            os.fspath(core.blobs.path(digest)),
            blob.descriptor.media_type,
            os.fspath(target),
            overlay=bool(lowers),
            parents=tuple(lowers),
        )


async def _stack(core: Core, record: RefRecord) -> None:
    async with record.lock:
        if record.data.snapshot is None:
            await assemble(core, record)
