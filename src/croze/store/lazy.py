"""Refs on layers that are only known by descriptor, shared by what they consist of."""

from __future__ import annotations

from collections.abc import Sequence

from croze.errors import InvalidRequest
from croze.store.contract import LayerBlob, LazyLayer, RecordType
from croze.store.core import Core
from croze.store.layer_blobs import blob_chain_id, chain_id
from croze.store.records import Blob, RecordData, RefRecord, new_id


def chain_records(
    core: Core, layers: Sequence[LazyLayer], record_type: RecordType
) -> RefRecord | None:
    """The record of the topmost layer, found or made along the chain. None for no layers."""
    record: RefRecord | None = None
    below: list[LayerBlob] = []
    for layer in layers:
        if not layer.blob.diff_id:
            raise InvalidRequest(f"layer {layer.blob.descriptor.digest} has no diff ID")
        below.append(layer.blob)
        record = _find(core, blob_chain_id(below), layer) or _add(
            core, record, layer, below, record_type
        )
    return record


def refresh(core: Core, layers: Sequence[LazyLayer]) -> bool:
    """See `RefStore.refresh_layers`. Others that are said to be the same, and were not unpacked
    yet, are not taken for them."""
    below: list[LayerBlob] = []
    is_known = True
    for layer in layers:
        below.append(layer.blob)
        _doubt(core, below)
        is_known = is_known and _find(core, blob_chain_id(below), layer) is not None
    return not below or _is_certain(core, below)


def _is_certain(core: Core, layers: Sequence[LayerBlob]) -> bool:
    """Whether all who are said to have the contents of these layers have them: there are no others,
    or each has been unpacked."""
    chain, identity = chain_id([b.diff_id for b in layers]), blob_chain_id(layers)
    core.claims.add(chain, identity)
    records = core.table.by_chain(chain)
    claimants = {*core.claims.of(chain), *(record.data.blob_chain_id for record in records)}
    proven = {r.data.blob_chain_id for r in records if r.data.snapshot is not None}
    return claimants == {identity} or claimants <= proven


def _doubt(core: Core, layers: Sequence[LayerBlob]) -> bool:
    """Whether others are said to have the contents of these layers. Those that were not unpacked
    are doubted from now on, whoever of them came first."""
    chain, identity = chain_id([b.diff_id for b in layers]), blob_chain_id(layers)
    same = core.table.by_chain(chain)
    rivals = any(record.data.blob_chain_id != identity for record in same)
    for record in same if rivals else ():
        if record.data.snapshot is None and not record.data.doubted:
            core.table.change(record, doubted=True)
    return rivals


def _find(core: Core, identity: str, layer: LazyLayer) -> RefRecord | None:
    for record in core.table.by_blob_chain(identity):
        if not record.data.mutable:
            # The newest fetcher has credentials that live; old ones may have lost their session.
            record.fetcher, record.unfetched = layer.fetcher, False
            if record.data.origin is None and record.data.snapshot is None:
                core.table.change(record, origin=dict(layer.fetcher.origin))
            return record
    return None


def _add(
    core: Core,
    parent: RefRecord | None,
    layer: LazyLayer,
    below: Sequence[LayerBlob],
    record_type: RecordType,
) -> RefRecord:
    record = core.table.add(
        RecordData(
            id=new_id(),
            parents=(parent.id,) if parent else (),
            record_type=record_type,
            description=layer.description,
            created_ns=layer.created_ns,
            blob=Blob(layer.blob.descriptor, layer.blob.diff_id),
            origin=dict(layer.fetcher.origin),
            chain_id=chain_id([b.diff_id for b in below]),
            blob_chain_id=blob_chain_id(below),
            doubted=_doubt(core, below),
        )
    )
    record.fetcher = layer.fetcher
    return record
