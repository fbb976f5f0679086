"""What belongs to an image: its platforms' configs, what is attested of them."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence

from msgspec import Struct, field

from croze.aio.parallel import all_of
from croze.errors import InvalidRequest
from croze.files.settings import parse_json
from croze.image import config as configs
from croze.image import descriptor as media
from croze.image import manifest as manifests
from croze.image import platform as platforms
from croze.image.bounds import ContentsBound
from croze.image.config import ImageConfig
from croze.image.descriptor import Descriptor
from croze.image.manifest import Manifest
from croze.imagetools.contract import LARGEST_READ_BYTES, Place

SPDX = "https://spdx.dev/Document"
PROVENANCE = "https://slsa.dev/provenance/"

_REFERENCES = ("com.docker.reference.digest", "vnd.docker.reference.digest")
_PREDICATE_TYPE = "in-toto.io/predicate-type"
_IN_TOTO = "application/vnd.in-toto+json"
_SIGNED = re.compile(r"application/vnd\.in-toto\..*\+dsse")
_DEEPEST = 32


class PlatformImage(Struct):
    """One platform's image. `attestations` are the manifests that hold what is attested."""

    config: ImageConfig
    attestations: list[Manifest] = field(default_factory=list)


class _Found(Struct):
    images: dict[str, tuple[str, Manifest]] = field(default_factory=dict)
    """Digest and manifest by platform."""
    attestations: dict[str, list[Manifest]] = field(default_factory=dict)
    """By the digest that they are about."""
    indexes: set[str] = field(default_factory=set)
    """Digests of those that were read: what is named again is not read again."""
    bound: ContentsBound = field(default_factory=ContentsBound)


async def platform_images(place: Place, root: Descriptor) -> dict[str, PlatformImage]:
    """All images below a manifest or an index, by platform, in order. Raises `InvalidRequest` for
    more than anybody reads."""
    contents = _Found()
    await _walk(place, root, contents, 0)

    async def load(text: str) -> PlatformImage:
        digest, manifest = contents.images[text]
        config = configs.parse(contents.bound.add(await place.read(manifest.config)))
        return PlatformImage(config, contents.attestations.get(digest, []))

    names = sorted(contents.images)
    return dict(zip(names, await all_of(load(name) for name in names), strict=True))


async def _walk(place: Place, entry: Descriptor, contents: _Found, depth: int) -> None:
    if depth > _DEEPEST:
        raise InvalidRequest(f"index {entry.digest} is nested more than {_DEEPEST} deep")
    if entry.digest in contents.indexes:
        return
    if entry.media_type in media.INDEX_TYPES:
        contents.indexes.add(entry.digest)
        children = manifests.parse_index(contents.bound.add(await place.read(entry))).manifests
        await all_of(_walk(place, child, contents, depth + 1) for child in children)
    elif entry.media_type in media.MANIFEST_TYPES:
        manifest = manifests.parse_manifest(contents.bound.add(await place.read(entry)))
        subject = next((entry.annotations[k] for k in _REFERENCES if k in entry.annotations), "")
        if subject:
            contents.attestations.setdefault(subject, []).append(manifest)
            return
        platform = entry.platform
        if platform is None:
            config = contents.bound.add(await place.read(manifest.config))
            platform = configs.parse(config).platform
        text = platforms.format(platforms.normalize(platform))
        contents.images[text] = (entry.digest, manifest)


async def predicates(place: Place, image: PlatformImage, type: str) -> list[object]:
    """The attested predicates of an image whose type begins with `type`."""
    layers = [
        layer
        for manifest in image.attestations
        for layer in manifest.layers or ()
        if layer.annotations.get(_PREDICATE_TYPE, "").startswith(type)
        and (layer.media_type == _IN_TOTO or _SIGNED.match(layer.media_type))
    ]
    if sum(layer.size for layer in layers) > LARGEST_READ_BYTES:
        raise InvalidRequest(f"statements of more than {LARGEST_READ_BYTES >> 20} MiB in one image")
    statements: Sequence[bytes] = await all_of(place.read(layer) for layer in layers)
    return [_predicate(layer, data) for layer, data in zip(layers, statements, strict=True)]


def _predicate(layer: Descriptor, data: bytes) -> object:
    try:
        statement = parse_json(data)
        if _SIGNED.match(layer.media_type):
            statement = parse_json(base64.b64decode(statement["payload"], validate=True))
        return statement.get("predicate")
    except (ValueError, TypeError, KeyError, AttributeError, binascii.Error) as error:
        raise InvalidRequest(f"invalid statement {layer.digest}: {error}") from None
