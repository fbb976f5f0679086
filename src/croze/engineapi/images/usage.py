"""How much room images take, alone and together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from croze.engineapi.images.names import NamedImage, find_all
from croze.engineapi.services import Services
from croze.store.present import present_blobs, present_manifests


def parts_of(image: NamedImage, services: Services) -> Mapping[str, int]:
    """Bytes by digest, of the configs and layers that are here."""
    manifests = present_manifests(image.target, services.blobs)
    digests = {blob.digest for _, each in manifests for blob in present_blobs(each)}
    return {each: services.blobs.size(each) for each in digests if services.blobs.has(each)}


def shared_bytes(services: Services) -> Mapping[str, int]:
    """The bytes that other images have, too, by each image's id."""
    parts = {image.id: parts_of(image, services) for image in find_all(services.images)}
    users = Counter(digest for each in parts.values() for digest in each)
    return {
        id: sum(size for digest, size in each.items() if users[digest] > 1)
        for id, each in parts.items()
    }


def total_bytes(images: Sequence[NamedImage], services: Services) -> int:
    """The bytes that images take together."""
    parts: dict[str, int] = {}
    for image in images:
        parts.update(parts_of(image, services))
    return sum(parts.values())
