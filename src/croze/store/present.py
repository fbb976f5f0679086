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
    for entry in present_entries(target, blobs):
        if entry.media_type not in INDEX_TYPES:
            yield entry.platform, manifests.parse_manifest(blobs.read(entry.digest))


def present_entries(target: Descriptor, blobs: BlobStore) -> Iterator[Descriptor]:
    """The target, and all indexes and manifests below it, that are in the store, in order. What an
    index has is told once, however often others name it: a few indexes that each name the next one
    twice are paths without end."""
    seen: set[tuple[str, Platform | None]] = set()
    rest = [target]
    while rest:
        entry = rest.pop()
        nested = entry.media_type in INDEX_TYPES
        key = (entry.digest, None if nested else entry.platform)
        if key in seen or not blobs.has(entry.digest):
            continue
        seen.add(key)
        yield entry
        if nested:
            rest += reversed(manifests.parse_index(blobs.read(entry.digest)).manifests)
