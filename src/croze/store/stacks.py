"""Layers taken from where they were made and put on top of each other.

Where layers are directories of their own this is free, unless one has an opaque directory, which
would hide what it never knew, or copies of files that it did not change, which would show where
they are not. Such a layer is re-made first, with its changes alone and a whiteout for each name
that it really removed, as its tar has it (image-spec layer.md, "Whiteouts").
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from croze.fs.tar.apply import apply_layer
from croze.fs.tar.compress import BlobSums
from croze.fs.tar.write import write_layer
from croze.identity import new_id
from croze.image.descriptor import OCI_LAYER
from croze.store.contract import CompressionType
from croze.store.core import STACKABLE, Core
from croze.store.disk import disk_errors
from croze.store.records import RefRecord
from croze.store.snapshots.trees import mark_whiteouts, ready_to_stack


async def assemble(core: Core, record: RefRecord) -> None:
    """Give a stack record its snapshot. All its layers have theirs; the caller holds its lock."""
    layers = [core.table.get(i) for i in record.data.stack or ()]
    if core.snapshots.layered:
        key = await _stack(core, layers)
    else:
        key = await _replay(core, layers)
    try:
        core.table.change(record, snapshot=key)
    finally:
        await core.drop_snapshot(key)


async def _stack(core: Core, layers: Sequence[RefRecord]) -> str:
    keys = [await _stackable(core, layer) for layer in layers]
    # overlayfs takes a directory once. A layer that comes again has the last word anyway.
    once = list(dict.fromkeys(reversed(keys)))[::-1]
    key = new_id()
    await core.snapshots.stack(key, once)
    return key


async def _stackable(core: Core, layer: RefRecord) -> str:
    """The key of the layer's snapshot, or of one that says the same and may be stacked."""
    key = core.snapshot(layer)
    if layer.data.stackable is None:
        lowers = [os.fspath(p) for p in reversed(core.snapshots.lowers(key))]
        upper = os.fspath(core.snapshots.upper(key) or "")
        good = not lowers or await core.pool.run(ready_to_stack, upper, lowers)
        core.table.change(layer, stackable=good)
    if layer.data.stackable:
        return key
    async with layer.lock:
        return await _remake(core, layer, key)


async def _remake(core: Core, layer: RefRecord, key: str) -> str:
    """A twin of the snapshot that says no more than its changes; goes with the layer's record."""
    twin = key + STACKABLE
    if not core.snapshots.exists(twin):
        await core.snapshots.prepare(twin, None)
        try:
            upper = os.fspath(core.snapshots.upper(twin) or "")
            await replay(core, layer, upper, overlay=True)
            await core.pool.run(mark_whiteouts, upper)
            core.snapshots.commit(twin)
        except BaseException:
            await core.snapshots.remove(twin)
            raise
    return twin


async def _replay(core: Core, layers: Sequence[RefRecord]) -> str:
    """Where a snapshot is always whole: copy the first, apply the changes of the rest."""
    first, rest = layers[0], layers[1:]
    key = new_id()
    whole = core.parent(first) is None
    await core.snapshots.prepare(key, core.snapshot(first) if whole else None)
    try:
        target = core.snapshots.mounts(key)[0].source
        for layer in rest if whole else layers:
            await replay(core, layer, target, overlay=False)
        core.snapshots.commit(key)
    except BaseException:
        await core.snapshots.remove(key)
        raise
    return key


async def replay(core: Core, layer: RefRecord, target: str, *, overlay: bool) -> None:
    """Apply a layer's own changes to a directory, by way of its tar."""
    with disk_errors("failed to merge layers"):
        for blob in (layer.data.blob, *layer.data.variants.values()):
            if blob is not None and core.blobs.has(blob.descriptor.digest):
                path = os.fspath(core.blobs.path(blob.descriptor.digest))
                media_type = blob.descriptor.media_type
                await core.pool.run(apply_layer, path, media_type, target, overlay=overlay)
                return
        async with core.blobs.writer() as writer:
            path = os.fspath(writer.path)
            await write_changes(core, layer, path)
            await core.pool.run(apply_layer, path, OCI_LAYER, target, overlay=overlay)


async def write_changes(
    core: Core,
    layer: RefRecord,
    path: str,
    compression: CompressionType = "uncompressed",
    level: int | None = None,
) -> BlobSums:
    """Write a layer's own changes as a tar, in a worker."""
    upper, lower, lowers = sources(core, layer)
    return await core.pool.run(
        write_layer,
        path,
        upper,
        lower,
        overlay_lowers=lowers,
        compression=compression,
        level=level,
    )


def sources(core: Core, layer: RefRecord) -> tuple[str, str | None, Sequence[str] | None]:
    """What `write_layer` compares to get a layer's own changes: upper, lower, overlay lowers."""
    key = core.snapshot(layer)
    upper = core.snapshots.upper(key)
    if upper is not None:
        lowers = [os.fspath(p) for p in reversed(core.snapshots.lowers(key))]
        return os.fspath(upper), None, lowers or None
    parent = core.parent(layer)
    lower = core.snapshots.mounts(core.snapshot(parent))[0].source if parent else None
    return core.snapshots.mounts(key)[0].source, lower, None
