"""Manifests and indexes (OCI image-spec `manifest.md`, `image-index.md`; Docker schema 2)."""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec

from croze.digests import digest_of
from croze.errors import InvalidRequest, NotFound, Unsupported
from croze.gotypes import gojson
from croze.image import descriptor as media
from croze.image.descriptor import Descriptor
from croze.image.platform import Matcher

EMPTY_CONFIG = Descriptor(
    media_type=media.OCI_EMPTY,
    digest="sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
    size=2,
    data="e30=",
)
"""The descriptor of `{}`, for artifacts without a config."""

LAYERS_MOST: Final = 2000
"""That may be on top of each other. One overlay mount takes 500 (Linux `fs/overlayfs/params.h`,
`OVL_MAX_STACK`)."""

_DOCKER_V1 = "application/vnd.docker.distribution.manifest.v1+"


class Manifest(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """One platform's image: config and layers, base first. Empty members are left out."""

    schema_version: int = 2
    media_type: str | msgspec.UnsetType = msgspec.UNSET
    artifact_type: str | msgspec.UnsetType = msgspec.UNSET
    config: Descriptor
    layers: tuple[Descriptor, ...] | None = ()
    subject: Descriptor | msgspec.UnsetType = msgspec.UNSET
    annotations: dict[str, str] | msgspec.UnsetType = msgspec.UNSET


class Index(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """Manifests by platform."""

    schema_version: int = 2
    media_type: str | msgspec.UnsetType = msgspec.UNSET
    artifact_type: str | msgspec.UnsetType = msgspec.UNSET
    manifests: tuple[Descriptor, ...] = ()
    subject: Descriptor | msgspec.UnsetType = msgspec.UNSET
    annotations: dict[str, str] | msgspec.UnsetType = msgspec.UNSET


class _Probe(msgspec.Struct, rename="camel"):
    media_type: str | None = None
    config: object = None
    manifests: object = None
    layers: object = None


def describe(data: bytes, media_type: str) -> Descriptor:
    """The descriptor of some bytes."""
    return Descriptor(media_type=media_type, digest=digest_of(data), size=len(data))


def marshal(value: Manifest | Index) -> bytes:
    """JSON indented by two spaces, byte for byte as BuildKit stores it."""
    return gojson.marshal_indent(value)


def parse_manifest(data: bytes) -> Manifest:
    """An image manifest (OCI image-spec, manifest.md; Docker's schema 2). Raises `InvalidRequest`
    for what is none."""
    return _decode(data, Manifest)


def parse_index(data: bytes) -> Index:
    """An image index (OCI image-spec, image-index.md) or Docker's manifest list. Raises
    `InvalidRequest` for what is none."""
    return _decode(data, Index)


_T = TypeVar("_T", Manifest, Index)


def _decode(data: bytes, kind: type[_T]) -> _T:
    try:
        return msgspec.convert(gojson.unmarshal_bounded(data), kind)
    except (msgspec.MsgspecError, RecursionError) as err:
        raise InvalidRequest(f"invalid {kind.__name__.lower()}: {err}") from err


def detect_media_type(data: bytes) -> str:
    """What kind of manifest some bytes are. Refuses those that could be read as two kinds."""
    try:
        gojson.check_parts(data)
        probe = gojson.unmarshal(data, type=_Probe)
    except (msgspec.MsgspecError, RecursionError) as err:
        raise InvalidRequest(f"invalid manifest: {err}") from err
    single = probe.config is not None or probe.layers is not None
    if single and probe.manifests is not None:
        raise InvalidRequest("invalid ambiguous manifest and manifest list")
    media_types = media.MANIFEST_TYPES if single else media.INDEX_TYPES
    other = media.INDEX_TYPES if single else media.MANIFEST_TYPES
    if probe.media_type in other:
        raise InvalidRequest("mediaType in manifest does not match manifest contents")
    if probe.media_type in media_types:
        return probe.media_type or ""
    return media.DOCKER_MANIFEST if single else media.DOCKER_INDEX


def check_supported(media_type: str) -> None:
    """Refuse manifests that nothing here reads."""
    if media_type.startswith(_DOCKER_V1):
        raise Unsupported(
            "support Docker Image manifest version 2, schema 1 has been removed. "
            "More information at https://docs.docker.com/go/deprecated-image-specs/"
        )
    if media_type not in media.INDEX_TYPES | media.MANIFEST_TYPES:
        raise InvalidRequest(f"encountered unknown type {media_type}; children may not be fetched")


def check_layer_count(count: int) -> None:
    """Refuse more layers on top of each other than anybody has: each takes a while of everybody's
    time. Raises `InvalidRequest`."""
    if count > LAYERS_MOST:
        raise InvalidRequest(
            f"{count} layers: no more than {LAYERS_MOST} can be on top of each other"
        )


def candidates(index: Index, matcher: Matcher) -> list[Descriptor]:
    """Entries that may be the platform's image, the best first. One without a platform counts,
    last: its config tells."""

    def rank(entry: Descriptor) -> int:
        return matcher.rank(entry.platform) if entry.platform else 1 << 16

    fitting = [
        entry
        for entry in index.manifests
        if entry.media_type in media.MANIFEST_TYPES | media.INDEX_TYPES
        and (entry.platform is None or matcher.match(entry.platform))
    ]
    return sorted(fitting, key=rank)


def no_match(digest: str = "") -> NotFound:
    """The error for an index that lacks the platform. It names the index whose manifests had to be
    looked at, since it says not of all which platform they are for."""
    where = f" {digest}" if digest else ""
    return NotFound(f"no match for platform in manifest{where}: not found")
