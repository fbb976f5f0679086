"""Merge and diff of refs, as lists of layers where that says it all."""

from __future__ import annotations

import os
from collections.abc import Sequence

from croze.errors import InvalidRequest
from croze.fs.tar.apply import apply_layer
from croze.fs.tar.write import write_layer
from croze.fs.temporary import temporary_directory
from croze.identity import new_id
from croze.image.descriptor import OCI_LAYER, Descriptor
from croze.store.core import Core
from croze.store.disk import disk_errors
from croze.store.layer_blobs import identify
from croze.store.records import Blob, RecordData, RefRecord
from croze.store.ref_mounts import mounted


def merge(core: Core, records: Sequence[RefRecord], description: str) -> RefRecord:
    """A stack of all the records' layers; lazy until it is mounted. One record is itself."""
    if not records:
        raise InvalidRequest("merge of no refs")
    if len(records) == 1:
        return records[0]
    layers = [layer for record in records for layer in core.layers(record)]
    return stack(core, records, layers, description)


def stack(
    core: Core, parents: Sequence[RefRecord], layers: Sequence[RefRecord], description: str
) -> RefRecord:
    """A record that consists of these layers and holds these parents."""
    holds = dict.fromkeys(r.id for r in (*parents, *_homes(core, parents, layers)))
    record = core.table.add(
        RecordData(
            id=new_id(),
            parents=tuple(holds),
            stack=tuple(r.id for r in layers),
            description=description,
        )
    )
    identify(core, record)
    return record


def _homes(
    core: Core, parents: Sequence[RefRecord], layers: Sequence[RefRecord]
) -> list[RefRecord]:
    """Layers that no parent's chain keeps alive. A stack's parents hold their layers already."""
    parent_ids = {layer.id for parent in parents for layer in core.layers(parent)}
    return [layer for layer in layers if layer.id not in parent_ids]


def layers_between(
    core: Core, lower: RefRecord | None, upper: RefRecord
) -> Sequence[RefRecord] | None:
    """The layers of `upper` above `lower`'s, or None if it does not stand on them."""
    below = core.layers(lower) if lower else []
    all_layers = core.layers(upper)
    if len(all_layers) <= len(below):
        return None
    if [r.id for r in all_layers[: len(below)]] != [r.id for r in below]:
        return None
    return all_layers[len(below) :]


async def computed_diff(
    core: Core, lower: RefRecord | None, upper: RefRecord | None, description: str
) -> RefRecord:
    """A new layer on nothing with what differs between two unrelated (or equal) states.

    Its tar is kept: what it removes has a meaning only in other stacks, which its own directory
    can't tell from names that never were.
    """
    key = new_id()
    await core.snapshots.prepare(key, core.snapshots.empty)
    try:
        blob = await _write_difference(core, lower, upper)
        target = core.snapshots.upper(key) or core.snapshots.mounts(key)[0].source
        with disk_errors("failed to compute the difference of refs"):
            await core.pool.run(
                apply_layer,
                os.fspath(core.blobs.path(blob.descriptor.digest)),
                OCI_LAYER,
                os.fspath(target),
                overlay=core.snapshots.layered,
            )
        core.snapshots.commit(key)
        return core.table.add(
            RecordData(
                id=new_id(),
                snapshot=key,
                description=description,
                variants={"uncompressed": blob},
            )
        )
    finally:
        await core.drop_snapshot(key)


async def _write_difference(core: Core, lower: RefRecord | None, upper: RefRecord | None) -> Blob:
    async with (
        core.blobs.writer() as writer,
        mounted(core, lower) as lower_path,
        mounted(core, upper) as upper_path,
    ):
        with (
            disk_errors("failed to compute the difference of refs"),
            temporary_directory("empty", core.root / "mnt") as empty,
        ):
            sums = await core.pool.run(
                write_layer,
                os.fspath(writer.path),
                os.fspath(upper_path or empty),
                os.fspath(lower_path or empty),
                compression="uncompressed",
            )
        await writer.commit(digest=sums.digest, size=sums.size)
    return Blob(Descriptor(OCI_LAYER, sums.digest, sums.size), sums.diff_id)
