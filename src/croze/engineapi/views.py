"""What an image's manifest and config say, for the platform that this machine would run."""

from __future__ import annotations

from dataclasses import dataclass

from croze.engineapi.contract import Services
from croze.engineapi.names import Image
from croze.errors import CrozeError
from croze.image import config as configs
from croze.image import platform as platforms
from croze.image.config import ImageConfig
from croze.image.manifest import Manifest
from croze.image.platform import Platform
from croze.store.present import present_blobs, present_manifests


@dataclass(frozen=True)
class View:
    """Sizes are those of the blobs that are here, as they are stored."""

    config: ImageConfig
    manifest: Manifest | None
    created_s: int
    size: int
    layers: tuple[int, ...]
    """Bytes of each."""


_UNKNOWN = ImageConfig(architecture="", os="")


def view(image: Image, services: Services) -> View:
    """An image of which nothing is here has no platform and no size."""
    found = list(present_manifests(image.target, services.blobs))
    sizes = {blob.digest: blob.size for _, each in found for blob in present_blobs(each)}
    manifest = _ours(found, services)
    config = _UNKNOWN if manifest is None else _config(manifest, services)
    created = configs.parse_time(config.created).timestamp() if config.created else 0
    layers = (manifest.layers or ()) if manifest is not None else ()
    return View(
        config=config,
        manifest=manifest,
        created_s=int(created),
        size=sum(size for digest, size in sizes.items() if services.blobs.has(digest)),
        layers=tuple(layer.size for layer in layers),
    )


def _ours(found: list[tuple[Platform | None, Manifest]], services: Services) -> Manifest | None:
    """The machine's own platform's, or else the first that is an image."""
    images = [(p, m) for p, m in found if p is None or p.os != "unknown"]
    wanted = {platforms.format(each): rank for rank, each in enumerate(services.machine.platforms)}

    def rank(entry: tuple[Platform | None, Manifest]) -> int:
        text = platforms.format(platforms.normalize(entry[0])) if entry[0] else ""
        return wanted.get(text, len(wanted))

    return min(images, key=rank)[1] if images else None


def _config(manifest: Manifest, services: Services) -> ImageConfig:
    """Of something that is no image, such as an artifact, nothing is known."""
    if manifest.config is None or not services.blobs.has(manifest.config.digest):
        return _UNKNOWN
    try:
        return configs.parse(services.blobs.read(manifest.config.digest))
    except CrozeError:
        return _UNKNOWN
