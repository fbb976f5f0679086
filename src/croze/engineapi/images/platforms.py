"""One platform of an image: `platform=` of requests about images that are here.

Source: Docker Engine API 1.48 (`save`, `load`, `history`), 1.49 (`inspect`), 1.46 (`push`): an OCI
platform in JSON. Taken as `docker` takes it, too: `linux/arm64`.
"""

from __future__ import annotations

import msgspec
from aiohttp import web

from croze.engineapi.query import UrlQuery
from croze.errors import CrozeError, InvalidRequest, NotFound
from croze.gotypes import gojson
from croze.image import config as configs
from croze.image import manifest as manifests
from croze.image import platform as platforms
from croze.image.descriptor import INDEX_TYPES, Descriptor
from croze.image.platform import Platform
from croze.store.contract import BlobStore
from croze.store.present import present_entries


def asked(request: web.Request) -> Platform | None:
    """The platform that is asked for, if any. Raises `InvalidRequest`."""
    texts = UrlQuery(request.query.items()).all("platform")
    if len(texts) > 1:
        raise InvalidRequest("platform: more than one is asked for")
    if not texts:
        return None
    try:
        if not texts[0].startswith("{"):
            return platforms.normalize(platforms.parse(texts[0]))
        platform = gojson.unmarshal(texts[0], type=Platform)
    except (CrozeError, msgspec.MsgspecError, RecursionError) as error:
        raise InvalidRequest(f"invalid platform: {error}") from None
    if not (platform.os and platform.architecture):
        raise InvalidRequest("invalid platform: both OS and Architecture must be provided")
    return platforms.normalize(platform)


def same(one: Platform, other: Platform) -> bool:
    """Whether two platforms are called the same."""
    return platforms.format(platforms.normalize(one)) == platforms.format(other)


def lacks(name: str, platform: Platform) -> NotFound:
    """The error for an image that has no such platform."""
    return NotFound(
        f"image with reference {name} was found but does not provide the specified platform "
        f"({platforms.format(platform)})"
    )


def part_of(target: Descriptor, platform: Platform, blobs: BlobStore) -> Descriptor | None:
    """The first manifest below a target that is here and of the platform."""
    for entry in present_entries(target, blobs):
        if entry.media_type not in INDEX_TYPES and same(_platform_of(entry, blobs), platform):
            return entry
    return None


def _platform_of(entry: Descriptor, blobs: BlobStore) -> Platform:
    """The platform of a manifest; what does not say its own, its config tells."""
    if entry.platform is not None:
        return entry.platform
    config = manifests.parse_manifest(blobs.read(entry.digest)).config
    try:
        return configs.parse(blobs.read(config.digest)).platform
    except CrozeError:  # not here, or of something that is no image
        return Platform(architecture="", os="")
