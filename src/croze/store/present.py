"""What of an image is in the store."""

from __future__ import annotations

from collections.abc import Iterator

from croze.image import manifest as manifests
from croze.image.descriptor import INDEX_TYPES, Descriptor
from croze.image.manifest import Manifest
from croze.image.platform import Platform
from croze.store.contract import BlobStore


def present_blobs(manifest: Manifest) -> tuple[Descriptor, ...]:
    """Config and layers."""
    return (*((manifest.config,) if manifest.config else ()), *(manifest.layers or ()))


def present_manifests(
    target: Descriptor, blobs: BlobStore
) -> Iterator[tuple[Platform | None, Manifest]]:
    """The manifests below a target that are in the store, each with its platform if known."""
    if not blobs.has(target.digest):
        return
    data = blobs.read(target.digest)
    if target.media_type not in INDEX_TYPES:
        yield target.platform, manifests.parse_manifest(data)
        return
    for entry in manifests.parse_index(data).manifests:
        yield from present_manifests(entry, blobs)
