"""A cache config and its layers as one artefact: an image manifest, or an index of blobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from croze.errors import InvalidRequest
from croze.gotypes import gojson
from croze.image import descriptor as media
from croze.image import manifest as manifests
from croze.image.descriptor import Descriptor
from croze.image.manifest import Index, Manifest
from croze.remotecache import config as configs
from croze.remotecache.config import CacheConfig

_SOURCE = "containerd.io/distribution.source."


def describe_config(data: bytes) -> Descriptor:
    return manifests.describe(data, configs.MEDIA_TYPE)


def build(
    config: Descriptor, layers: Sequence[Descriptor], *, image_manifest: bool, oci: bool
) -> tuple[Descriptor, bytes]:
    """The manifest and its bytes, compact, unlike an image's; `layers` as the config lists them."""
    plain = tuple(_plain(layer, oci=oci) for layer in layers)
    if image_manifest:
        kind = media.OCI_MANIFEST
        data = gojson.marshal(Manifest(media_type=kind, config=config, layers=plain))
    else:
        kind = media.OCI_INDEX if oci else media.DOCKER_INDEX
        data = gojson.marshal(Index(media_type=kind, manifests=(*plain, config)))
    return manifests.describe(data, kind), data


def check_types(*, image_manifest: bool, oci: bool) -> None:
    """See that a cache is no image manifest with Docker's media types, which has no place for its
    config. Raises `InvalidRequest`."""
    if image_manifest and not oci:
        raise InvalidRequest(
            "invalid configuration for remote cache, OCI mediatypes are required for "
            "image-manifest cache format"
        )


def _plain(layer: Descriptor, *, oci: bool) -> Descriptor:
    notes = {k: v for k, v in layer.annotations.items() if not k.startswith(_SOURCE)}
    kind = media.layer_type(layer.media_type, oci=oci)
    return msgspec.structs.replace(layer, media_type=kind, annotations=notes)


def listed_layers(config: CacheConfig, layers: Mapping[str, Descriptor]) -> list[Descriptor]:
    """The descriptors in the order of the config's layers."""
    return [layers[layer.blob] for layer in config.layers]
