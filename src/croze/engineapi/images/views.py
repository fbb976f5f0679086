"""What an image's manifest and config say, for the platform that this machine would run."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from croze.engineapi.images.names import NamedImage
from croze.engineapi.images.platforms import lacks, part_of
from croze.engineapi.services import Services
from croze.errors import CrozeError
from croze.image import config as configs
from croze.image import manifest as manifests
from croze.image import platform as platforms
from croze.image.config import ImageConfig
from croze.image.descriptor import INDEX_TYPES, OCI_MANIFEST, Descriptor
from croze.image.manifest import Manifest
from croze.image.platform import Platform
from croze.store.present import present_blobs, present_bytes, present_manifests


class ImageView(Struct, frozen=True):
    """An image's manifest and config for one platform. Sizes are those of the blobs that are here,
    as they are stored."""

    config: ImageConfig
    manifest: Manifest | None
    created_s: int
    size: int
    layers: tuple[int, ...]
    """Bytes of each."""


REFERENCE_DIGEST = "vnd.docker.reference.digest"
"""On an attestation's entry: what it is about."""
_UNKNOWN = ImageConfig(architecture="", os="")


def view(image: NamedImage, services: Services, only: Platform | None = None) -> ImageView:
    """The view of an image. One of which nothing is here has no platform and no size. Raises
    `NotFound` if one platform is asked for that is not here."""
    target = image.target
    if only is not None:
        part = part_of(target, only, services.blobs)
        if part is None:
            raise lacks(next(iter(image.tags), image.id), only)
        target = part
    blobs = services.blobs
    present = list(present_manifests(target, blobs))
    manifest = _ours(present, services)
    config = _UNKNOWN if manifest is None else _config(manifest, services)
    layers = (manifest.layers or ()) if manifest is not None else ()
    return ImageView(
        config=config,
        manifest=manifest,
        created_s=configs.seconds_of(config.created),
        size=present_bytes((b.digest for _, each in present for b in present_blobs(each)), blobs),
        layers=tuple(present_bytes([layer.digest], blobs) for layer in layers),
    )


def _ours(present: list[tuple[Platform | None, Manifest]], services: Services) -> Manifest | None:
    """The machine's own platform's, or else the first that is an image."""
    images = [(p, m) for p, m in present if p is None or p.os != "unknown"]
    ranks = {platforms.format(each): rank for rank, each in enumerate(services.machine.platforms)}

    def rank(entry: tuple[Platform | None, Manifest]) -> int:
        text = platforms.format(platforms.normalize(entry[0])) if entry[0] else ""
        return ranks.get(text, len(ranks))

    return min(images, key=rank)[1] if images else None


def _config(manifest: Manifest, services: Services) -> ImageConfig:
    """The image's config; of something that is no image, such as an artifact, nothing is known."""
    if manifest.config is None or not services.blobs.has(manifest.config.digest):
        return _UNKNOWN
    try:
        return configs.parse(services.blobs.read(manifest.config.digest))
    except CrozeError:
        return _UNKNOWN


def manifests_of(image: NamedImage, services: Services) -> list[dict[str, object]]:
    """What an image's index names, one by one; a manifest alone names itself."""
    target = image.target
    if target.media_type not in INDEX_TYPES or not services.blobs.has(target.digest):
        return [_described(target, services)]
    index = manifests.parse_index(services.blobs.read(target.digest))
    return [_described(child, services) for child in index.manifests]


def described(entry: Descriptor) -> dict[str, object]:
    """A descriptor as the API has it, without its platform."""
    return {
        "mediaType": entry.media_type,
        "digest": entry.digest,
        "size": entry.size,
        **({"annotations": entry.annotations} if entry.annotations else {}),
    }


def _described(entry: Descriptor, services: Services) -> dict[str, object]:
    blobs = services.blobs
    here = blobs.has(entry.digest)
    manifests_here = present_manifests(
        msgspec.structs.replace(entry, media_type=OCI_MANIFEST), blobs
    )
    manifest = next((each for _, each in manifests_here), None)
    parts = present_blobs(manifest) if manifest is not None else ()
    content = present_bytes([entry.digest, *(part.digest for part in parts)], blobs)
    about: dict[str, object] = {
        "ID": entry.digest,
        "Descriptor": described(entry),
        "Available": here and all(blobs.has(part.digest) for part in parts),
        "Size": {"Total": content, "Content": content},
    }
    if subject := entry.annotations.get(REFERENCE_DIGEST):
        return {**about, "Kind": "attestation", "AttestationData": {"For": subject}}
    config = _config(manifest, services) if manifest is not None else _UNKNOWN
    platform = entry.platform or config.platform
    where = {"architecture": platform.architecture, "os": platform.os, "variant": platform.variant}
    data = {
        "Platform": {k: v for k, v in where.items() if v},
        "Containers": [],
        "Size": {"Unpacked": 0},
    }
    return {**about, "Kind": "image", "ImageData": data}
