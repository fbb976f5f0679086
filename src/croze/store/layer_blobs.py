"""Refs as chains of layer blobs: made where missing, in one pass of diff, tar and compression."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence

import msgspec
from msgspec import Struct

from croze.aio.parallel import all_of
from croze.errors import Corrupted, NotFound
from croze.fs.tar.compress import BlobSums
from croze.fs.tar.estargz import SIZE_ANNOTATION, TOC_ANNOTATION, is_estargz
from croze.gotypes.moments import rfc3339_ns
from croze.image.config import chain_id
from croze.image.descriptor import (
    CREATED_ANNOTATION,
    DOCKER_FOREIGN_LAYER,
    DOCKER_LAYER,
    DOCKER_LAYER_GZIP,
    OCI_LAYER,
    OCI_LAYER_GZIP,
    OCI_LAYER_ZSTD,
    UNCOMPRESSED_ANNOTATION,
    Descriptor,
)
from croze.store.contract import Compression, CompressionType, LayerBlob
from croze.store.convert import convert_layer
from croze.store.core import Core
from croze.store.disk import disk_errors
from croze.store.records import Blob, RefRecord
from croze.store.stacks import write_changes
from croze.store.unpack import FETCHED_AT_ONCE, fetch_blob, unlazy
from croze.store.watch_contract import LayerWatch

DOCKER_LAYER_ZSTD = "application/vnd.docker.image.rootfs.diff.tar.zstd"
_OCI_TYPES: dict[CompressionType, str] = {
    "uncompressed": OCI_LAYER,
    "gzip": OCI_LAYER_GZIP,
    "estargz": OCI_LAYER_GZIP,
    "zstd": OCI_LAYER_ZSTD,
}
_DOCKER_OF = {
    OCI_LAYER: DOCKER_LAYER,
    OCI_LAYER_GZIP: DOCKER_LAYER_GZIP,
    OCI_LAYER_ZSTD: DOCKER_LAYER_ZSTD,
}
_OCI_OF = {docker: oci for oci, docker in _DOCKER_OF.items()}
_KEPT = ("containerd.io/", SIZE_ANNOTATION)
"""Annotations about the blob and where it is, by how they begin."""


def compression_of(descriptor: Descriptor) -> CompressionType:
    """How a layer blob is compressed, by its media type and annotations."""
    media_type = _OCI_OF.get(descriptor.media_type, descriptor.media_type)
    if TOC_ANNOTATION in descriptor.annotations:
        return "estargz"
    if media_type.endswith(("+gzip", ".gzip")) or media_type == DOCKER_FOREIGN_LAYER:
        return "gzip"
    return "zstd" if media_type.endswith(("+zstd", ".zstd")) else "uncompressed"


def kept_of(descriptor: Descriptor) -> Descriptor:
    """What is kept of what an image or a cache says of a layer, as by BuildKit: nothing that would
    come along into other images."""
    annotations = {
        key: value for key, value in descriptor.annotations.items() if key.startswith(_KEPT)
    }
    return Descriptor(
        descriptor.media_type, descriptor.digest, descriptor.size, descriptor.urls, annotations
    )


def are_alike(one: Descriptor, other: Descriptor) -> bool:
    """Whether one descriptor of a blob can stand for the other."""
    if (one.size, one.urls) != (other.size, other.urls):
        return False
    return one.media_type == other.media_type or _kind(one) == _kind(other)


def _kind(descriptor: Descriptor) -> str:
    kind = descriptor.as_layer(prefer_nondist=False).media_type
    return _OCI_OF.get(kind, kind)


def blob_chain_id(blobs: Sequence[LayerBlob]) -> str:
    """Identity of a chain of blobs: the same content in other bytes is another chain."""
    return chain_id([chain_id([b.descriptor.digest, b.diff_id]) for b in blobs])


class LayerChain(Struct, frozen=True):
    """What a stack of layers is known by: `chain_id` by what is in them, `blob_chain_id` by their
    blobs."""

    chain_id: str = ""
    blob_chain_id: str = ""

    def also(self, blob: LayerBlob) -> LayerChain:
        """The chain with one more layer on top."""
        own = chain_id([blob.descriptor.digest, blob.diff_id])
        if not self.chain_id:
            return LayerChain(blob.diff_id, own)
        return LayerChain(
            chain_id([self.chain_id, blob.diff_id]), chain_id([self.blob_chain_id, own])
        )


class LayerRequest(Struct, frozen=True):
    """What is asked of `ImmutableRef.layers`."""

    compression: Compression
    sessions: Sequence[str] = ()
    fetch: bool = False
    watch: LayerWatch | None = None


async def layer_blobs(core: Core, record: RefRecord, request: LayerRequest) -> Sequence[LayerBlob]:
    """See `ImmutableRef.layers`."""
    chain = core.layers(record)
    blobs = {r.id: r.data.blob for r in chain if r.data.blob is not None}
    # A task each, but not for what is there: all steps in a row may be asked, one after the other.
    is_all = request.fetch or request.compression.force
    unready = [r for r in dict.fromkeys(chain) if is_all or r.id not in blobs]
    slots = asyncio.Semaphore(FETCHED_AT_ONCE)

    async def ensured(layer: RefRecord) -> Blob:
        async with slots:
            return await _ensure(core, layer, request)

    new_blobs = await all_of(ensured(layer) for layer in unready)
    blobs |= {r.id: blob for r, blob in zip(unready, new_blobs, strict=True)}
    for layer in chain:
        identify(core, layer)
    identify(core, record)
    return [_described(r, blobs[r.id], request.compression.oci_types) for r in chain]


def known_layers(core: Core, record: RefRecord) -> Sequence[LayerBlob] | None:
    """See `ImmutableRef.known_layers`."""
    if record.data.stack is None and record.data.blob is None:
        return None  # whatever is below it, which may be much
    chain = core.layers(record)
    blobs = [r.data.blob for r in chain]
    layers = [(r, b) for r, b in zip(chain, blobs, strict=True) if b is not None]
    if len(layers) < len(chain):
        return None
    return [_described(r, b, None) for r, b in layers]


def identify(core: Core, record: RefRecord) -> None:
    """Note a record's chain IDs once all its blobs are known, so that it is found by them."""
    if record.data.chain_id or record.gone:
        return
    if (layers := known_layers(core, record)) is not None:
        core.table.change(
            record,
            chain_id=chain_id([b.diff_id for b in layers]),
            blob_chain_id=blob_chain_id(layers),
        )


def _described(record: RefRecord, blob: Blob, oci_types: bool | None) -> LayerBlob:
    descriptor = blob.descriptor
    media_type = descriptor.media_type
    if oci_types is not None:
        media_type = (_OCI_OF if oci_types else _DOCKER_OF).get(media_type, media_type)
    annotations = descriptor.annotations | {
        UNCOMPRESSED_ANNOTATION: blob.diff_id,
        CREATED_ANNOTATION: rfc3339_ns(record.data.created_ns),
    }
    changed = msgspec.structs.replace(descriptor, media_type=media_type, annotations=annotations)
    return LayerBlob(changed, blob.diff_id)


async def _ensure(core: Core, record: RefRecord, request: LayerRequest) -> Blob:
    """The record's own layer as a blob of the wanted kind."""
    compression = request.compression
    if record.data.blob is None:
        await unlazy(core, record, request.sessions)
    async with record.lock:
        blob = record.data.blob
        if blob is None:
            blob = await _make(core, record, request)
            core.table.change(record, blob=blob)
        if compression.force and await _compression(core, blob) != compression.type:
            blob = await _variant(core, record, blob, request)
        elif request.fetch:
            await fetch_blob(core, record, blob, request.sessions)
        return blob


async def _make(core: Core, record: RefRecord, request: LayerRequest) -> Blob:
    if (uncompressed := record.data.variants.get("uncompressed")) is not None:
        # A computed difference was written down when it was made.
        return await _convert(core, uncompressed, request)
    kind, level = request.compression.type, request.compression.level

    async def write(path: str) -> BlobSums:
        with disk_errors("failed to write layer"):
            return await write_changes(core, record, path, kind, level)

    return _blob(await _written(core, write, request.watch), kind)


async def _written(
    core: Core, write: Callable[[str], Awaitable[BlobSums]], watch: LayerWatch | None
) -> BlobSums:
    """A blob that is in the store once `write` has written it to that path."""
    async with core.blobs.writer() as writer:
        if watch is not None:
            watch.on_begun(writer.path)
        sums = await write(os.fspath(writer.path))
        if watch is not None:
            watch.on_made(writer.path, sums.digest, sums.size)
        await writer.commit(digest=sums.digest, size=sums.size)
    return sums


def _blob(sums: BlobSums, kind: CompressionType) -> Blob:
    notes = dict(sums.annotations)
    descriptor = Descriptor(_OCI_TYPES[kind], sums.digest, sums.size, annotations=notes)
    return Blob(descriptor, sums.diff_id)


async def _compression(core: Core, blob: Blob) -> CompressionType:
    """How a blob is compressed. Of one that is here, what looks like gzip may be more."""
    kind, digest = compression_of(blob.descriptor), blob.descriptor.digest
    if kind == "gzip" and core.blobs.has(digest):
        more = await core.pool.run(is_estargz, os.fspath(core.blobs.path(digest)))
        return "estargz" if more else kind
    return kind


async def _variant(core: Core, record: RefRecord, blob: Blob, request: LayerRequest) -> Blob:
    """A layer's tar in another compression, remembered with the record."""
    kind = request.compression.type
    earlier = record.data.variants.get(kind)
    if earlier is not None and core.blobs.has(earlier.descriptor.digest):
        return earlier
    await fetch_blob(core, record, blob, request.sessions)
    variant = await _convert(core, blob, request)
    variants = record.data.variants | {kind: variant}
    core.table.change(record, variants=variants)
    return variant


async def _convert(core: Core, blob: Blob, request: LayerRequest) -> Blob:
    kind = await _compression(core, blob)
    compression = request.compression
    if compression.type == kind:
        return blob
    source = os.fspath(core.blobs.path(blob.descriptor.digest))

    async def write(path: str) -> BlobSums:
        with disk_errors("failed to convert layer"):
            return await core.pool.run(
                convert_layer, source, path, compression.type, compression.level
            )

    sums = await _written(core, write, request.watch)
    # A table of contents belongs to the tar that the diff ID is of.
    if sums.diff_id != blob.diff_id and "estargz" not in (kind, compression.type):
        raise Corrupted(
            f"layer {blob.descriptor.digest} has diff ID {sums.diff_id}, expected {blob.diff_id}"
        )
    return _blob(sums, compression.type)


async def fetch_by_digest(
    core: Core, record: RefRecord, digest: str, sessions: Sequence[str]
) -> None:
    """See `ImmutableRef.fetch_blob`."""
    for layer in core.layers(record):
        for blob in (layer.data.blob, *layer.data.variants.values()):
            if blob is not None and blob.descriptor.digest == digest:
                async with layer.lock:
                    await fetch_blob(core, layer, blob, sessions)
                return
    raise NotFound(f"blob {digest} is not a layer of ref {record.id}")
