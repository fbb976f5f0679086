"""Layer descriptors as they go into a manifest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from croze.image import descriptor as media
from croze.image.descriptor import Descriptor

SOURCE_PREFIX = "containerd.io/distribution.source."
"""Annotation that says which repositories of a registry have a blob; never exported."""

_INTERNAL = frozenset([media.UNCOMPRESSED_ANNOTATION, media.CREATED_ANNOTATION])


def exported_annotations(annotations: Mapping[str, str], *, oci: bool) -> dict[str, str]:
    """The annotations that are meant for others. Docker's manifests have none."""
    if not oci:
        return {}
    return {
        key: value
        for key, value in annotations.items()
        if key not in _INTERNAL and not key.startswith(SOURCE_PREFIX)
    }


def exported(
    layers: Sequence[Descriptor], *, oci: bool, prefer_nondist: bool
) -> tuple[Descriptor, ...]:
    """The layers' descriptors as the manifest has them."""
    plain = (layer.as_layer(prefer_nondist=prefer_nondist) for layer in layers)
    return tuple(
        msgspec.structs.replace(
            layer,
            media_type=media.layer_type(layer.media_type, oci=oci),
            annotations=exported_annotations(layer.annotations, oci=oci),
        )
        for layer in plain
    )


def source_repository(layer: Descriptor, host: str) -> str:
    """A repository of the registry that has the layer, or empty."""
    return layer.annotations.get(SOURCE_PREFIX + host, "").split(",")[0]
