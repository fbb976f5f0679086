"""Refs on layers that are only known by descriptor, shared by what they consist of."""

from __future__ import annotations

from collections.abc import Sequence

from croze.errors import InvalidRequest
from croze.identity import new_id
from croze.image.manifest import check_layer_count
from croze.store.contract import LazyLayer, RecordType
from croze.store.core import Core
from croze.store.layer_blobs import LayerChain, are_alike, kept_of
from croze.store.present import check_sizes
from croze.store.records import Blob, RecordData, RefRecord


def chain_records(
    core: Core, layers: Sequence[LazyLayer], record_type: RecordType
) -> RefRecord | None:
    """The record of the topmost layer, found or made along the chain. None for no layers. Raises
    `Corrupted` for a blob that is here, and is of another size than is said."""
    check_layer_count(len(layers))
    record: RefRecord | None = None
    chain = LayerChain()
    check_sizes([layer.blob.descriptor for layer in layers], core.blobs)
    with core.table.transaction():
        for number, layer in enumerate(layers):
            if not layer.blob.diff_id:
                raise InvalidRequest(f"layer {layer.blob.descriptor.digest} has no diff ID")
            chain = chain.also(layer.blob)
            same = _find(core, chain, layers, number, record)
            record = same or _add(core, record, layer, chain, record_type)
    return record


def refresh(core: Core, layers: Sequence[LazyLayer]) -> bool:
    """See `RefStore.refresh_layers`. Others that are said to be the same, and were not unpacked
    yet, are not taken for them; nor are those of which something else is said."""
    check_layer_count(len(layers))
    chain = LayerChain()
    record: RefRecord | None = None
    is_known = True
    for number, layer in enumerate(layers):
        chain = chain.also(layer.blob)
        _doubt(core, chain)
        record = _find(core, chain, layers, number, record) if is_known else None
        is_known = record is not None
    same = core.table.by_blob_chain(chain.blob_chain_id)
    is_alike = all(_is_said_of(core, record, layers) for record in same)
    return not layers or (is_alike and _is_certain(core, chain))


def _is_certain(core: Core, chain: LayerChain) -> bool:
    """Whether all who are said to have the contents of these layers have them: there are no others,
    or each has been unpacked."""
    core.claims.add(chain.chain_id, chain.blob_chain_id)
    records = core.table.by_chain(chain.chain_id)
    claims = core.claims.of(chain.chain_id)
    claimants = {*claims, *(record.data.blob_chain_id for record in records)}
    proven = {r.data.blob_chain_id for r in records if r.data.snapshot is not None}
    return claimants == {chain.blob_chain_id} or claimants <= proven


def _doubt(core: Core, chain: LayerChain) -> bool:
    """Whether others are said to have the contents of these layers. Those that were not unpacked
    are doubted from now on, whoever of them came first."""
    same = core.table.by_chain(chain.chain_id)
    rivals = any(record.data.blob_chain_id != chain.blob_chain_id for record in same)
    for record in same if rivals else ():
        if record.data.snapshot is None and not record.data.doubted:
            core.table.change(record, doubted=True)
    return rivals


def _find(
    core: Core,
    chain: LayerChain,
    layers: Sequence[LazyLayer],
    number: int,
    below: RefRecord | None,
) -> RefRecord | None:
    """The record of the layers up to that number, `chain`, if the same was said of them: what is
    exported says it again, and it may have been anybody. `below`: what was found, or made, for
    those under it."""
    layer = layers[number]
    for record in core.table.by_blob_chain(chain.blob_chain_id):
        if not record.data.mutable and _is_said_up_to(core, record, layers, number, below):
            # The newest fetcher has credentials that live; old ones may have lost their session.
            record.fetcher, record.unfetched = layer.fetcher, False
            if record.data.origin is None and record.data.snapshot is None:
                core.table.change(record, origin=dict(layer.fetcher.origin))
            return record
    return None


def _is_said_up_to(
    core: Core,
    record: RefRecord,
    layers: Sequence[LazyLayer],
    number: int,
    below: RefRecord | None,
) -> bool:
    """Whether the same was said of the record's layers. What is `below` it needs no other look."""
    if below is not None and core.parent(record) is below:
        blob = record.data.blob
        return blob is None or are_alike(blob.descriptor, layers[number].blob.descriptor)
    return _is_said_of(core, record, layers[: number + 1])


def _is_said_of(core: Core, record: RefRecord, layers: Sequence[LazyLayer]) -> bool:
    blobs = (each.data.blob for each in core.layers(record))
    return all(
        blob is None or are_alike(blob.descriptor, layer.blob.descriptor)
        for blob, layer in zip(blobs, layers, strict=False)
    )


def _add(
    core: Core,
    parent: RefRecord | None,
    layer: LazyLayer,
    chain: LayerChain,
    record_type: RecordType,
) -> RefRecord:
    record = core.table.add(
        RecordData(
            id=new_id(),
            parents=(parent.id,) if parent else (),
            record_type=record_type,
            description=layer.description,
            created_ns=layer.created_ns,
            blob=Blob(kept_of(layer.blob.descriptor), layer.blob.diff_id),
            origin=dict(layer.fetcher.origin),
            chain_id=chain.chain_id,
            blob_chain_id=chain.blob_chain_id,
            doubted=_doubt(core, chain),
        )
    )
    record.fetcher = layer.fetcher
    return record
