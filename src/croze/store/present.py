"""What of an image is in the store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from croze.errors import Corrupted, CrozeError
from croze.image import manifest as manifests
from croze.image.descriptor import INDEX_TYPES, Descriptor
from croze.image.manifest import Manifest
from croze.image.platform import Platform
from croze.store.contract import BlobStore


def present_blobs(manifest: Manifest) -> tuple[Descriptor, ...]:
    """Config and layers."""
    return (*((manifest.config,) if manifest.config else ()), *(manifest.layers or ()))


def present_bytes(digests: Iterable[str], blobs: BlobStore) -> int:
    """What of these blobs is in the store, each counted once, as it is there: a manifest may claim
    any size."""
    return sum(blobs.size(digest) for digest in set(digests) if blobs.has(digest))


def check_sizes(descriptors: Iterable[Descriptor], blobs: BlobStore) -> None:
    """See that the blobs that are in the store have the sizes that are claimed. Raises
    `Corrupted`."""
    for each in descriptors:
        if blobs.has(each.digest) and blobs.size(each.digest) != each.size:
            actual = blobs.size(each.digest)
            raise Corrupted(
                f"content {each.digest} has {actual} bytes, not {each.size} as is said of it"
            )


def present_manifests(
    target: Descriptor, blobs: BlobStore
) -> Iterator[tuple[Platform | None, Manifest]]:
    """The manifests below a target that are in the store, each with its platform if known. What is
    there in the place of one is left out: an index may name any blob."""
    for entry in present_entries(target, blobs):
        if entry.media_type not in INDEX_TYPES:
            try:
                manifest = manifests.parse_manifest(blobs.read(entry.digest))
            except CrozeError:
                continue
            yield entry.platform, manifest


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
            rest += reversed(_children(entry.digest, blobs))


def _children(digest: str, blobs: BlobStore) -> Sequence[Descriptor]:
    """What an index names; nothing of what is none."""
    try:
        return manifests.parse_index(blobs.read(digest)).manifests
    except CrozeError:
        return ()
