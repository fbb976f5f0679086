"""Cache configs that say of each layer what a manifest would: those in object storage, which have
no manifest (BuildKit `cache/remotecache/v1/types`, `LayerAnnotations`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from croze.digests import digest_of
from croze.errors import InvalidRequest
from croze.image import descriptor as media
from croze.image.descriptor import Descriptor
from croze.image.reference import check_digest
from croze.remotecache import config as configs
from croze.remotecache.beside import travels_beside
from croze.remotecache.config import NO_PARENT, NO_TIME, CacheConfig, CacheLayer, LayerNotes
from croze.remotecache.gather import GatheredLayer
from croze.remotecache.imported import FoundCache


def annotated(
    config: CacheConfig, layers: Mapping[str, GatheredLayer], beside: Sequence[Descriptor]
) -> CacheConfig:
    """The config with what is known of its layers, by blob; and, after those, of what travels
    beside it, which has no diff ID but its own digest."""
    noted = [
        msgspec.structs.replace(each, annotations=_notes(layers[each.blob]))
        for each in config.layers
    ]
    noted += [
        CacheLayer(e.digest, NO_PARENT, LayerNotes(e.media_type, e.digest, e.size, NO_TIME))
        for e in beside
    ]
    return msgspec.structs.replace(config, layers=tuple(noted))


def _notes(layer: GatheredLayer) -> LayerNotes:
    descriptor = layer.descriptor
    created = descriptor.annotations.get(media.CREATED_ANNOTATION, NO_TIME)
    kind = media.layer_type(descriptor.media_type, oci=True)  # of a base image it may be Docker's
    return LayerNotes(kind, layer.diff_id, descriptor.size, created)


def parse(data: bytes) -> FoundCache:
    """Read and check such a config. Raises `InvalidRequest`."""
    config = configs.parse(data)
    descriptors = [_descriptor(layer) for layer in config.layers]
    layers = {each.digest: each for each in descriptors if not travels_beside(each)}
    beside = tuple(each for each in descriptors if travels_beside(each))
    return FoundCache(digest_of(data), config, layers, beside)


def _descriptor(layer: CacheLayer) -> Descriptor:
    notes = layer.annotations
    if notes is None:
        raise InvalidRequest("cache layer with missing annotations")
    if not notes.diff_id:
        raise InvalidRequest("cache layer with missing diffid")
    if notes.size < 0:
        raise InvalidRequest(f"invalid size {notes.size} of cache layer {layer.blob}")
    annotations = {media.UNCOMPRESSED_ANNOTATION: check_digest(notes.diff_id)}
    if notes.created_at and notes.created_at != NO_TIME:
        annotations[media.CREATED_ANNOTATION] = notes.created_at
    return Descriptor(notes.media_type, layer.blob, notes.size, annotations=annotations)
