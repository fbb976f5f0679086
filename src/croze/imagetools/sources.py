"""What an image is made of: digests, references and descriptors, as a user names them."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from croze.errors import InvalidRequest
from croze.gotypes import gojson
from croze.gotypes.quote import quote
from croze.image.descriptor import Descriptor
from croze.image.platform import Platform
from croze.image.reference import check_digest
from croze.imagetools import location as locations
from croze.imagetools.location import Location


class DescriptorHints(msgspec.Struct, frozen=True, rename="camel"):
    """What a user says of a manifest. Empty where nothing was said: the place knows."""

    schema_version: int = 0
    media_type: str = ""
    digest: str = ""
    size: int = 0
    annotations: dict[str, str] = {}
    platform: PartialPlatform | None = None
    artifact_type: str | None = None


class PartialPlatform(msgspec.Struct, frozen=True):
    """A platform of which the image's config says what is missing."""

    architecture: str = ""
    os: str = ""
    os_version: str = msgspec.field(default="", name="os.version")
    os_features: tuple[str, ...] = msgspec.field(default=(), name="os.features")
    variant: str = ""

    def completed(self, config_platform: Platform) -> Platform:
        """The platform with what the image's config says."""
        variant = self.variant or ("" if self.architecture else config_platform.variant)
        return Platform(
            self.architecture or config_platform.architecture,
            self.os or config_platform.os,
            self.os_version,
            self.os_features,
            variant,
        )


class ManifestSource(Struct, frozen=True):
    """Where a manifest is, and what is said of it besides."""

    text: str
    location: Location | None
    hints: DescriptorHints


def parse(text: str) -> ManifestSource:
    """The source that a user's text names. Raises `InvalidRequest`."""
    try:
        return _parse(text)
    except InvalidRequest as error:
        raise error.wrap(
            f"failed to parse source {quote(text)}, valid sources are digests, references and "
            "descriptors"
        ) from None


def _parse(text: str) -> ManifestSource:
    try:
        return ManifestSource(text, None, DescriptorHints(digest=check_digest(text)))
    except InvalidRequest:
        if text.startswith("sha256"):
            raise
    try:
        return ManifestSource(text, locations.parse(text), DescriptorHints())
    except InvalidRequest:
        if not text.startswith("{"):
            raise
    return ManifestSource(text, None, _wanted(text))


def _wanted(text: str) -> DescriptorHints:
    try:
        hints = gojson.unmarshal(text, type=DescriptorHints)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise InvalidRequest(str(error)) from None
    if hints.schema_version:
        raise InvalidRequest(
            "expected an OCI content descriptor, got a manifest or index "
            f"(schemaVersion {hints.schema_version})"
        )
    if not hints.digest:
        raise InvalidRequest("invalid descriptor: digest is required")
    try:
        check_digest(hints.digest)
    except InvalidRequest as error:
        raise error.wrap("invalid descriptor digest") from None
    return hints


def located(
    sources: list[ManifestSource], targets: list[Location]
) -> list[tuple[Location, DescriptorHints]]:
    """The sources with their places: those without a repository are of the only one that is named.
    Raises `InvalidRequest`."""
    named = [one.location for one in sources if one.location is not None]
    repositories = {one.name for one in (*targets, *named)}
    if not repositories:
        raise InvalidRequest("no repositories specified, please set a reference in tag or source")
    only = next(iter((*named, *targets))) if len(repositories) == 1 else None
    return [(one.location or _inferred(one, only), one.hints) for one in sources]


def _inferred(source: ManifestSource, only: Location | None) -> Location:
    if only is None:
        raise InvalidRequest(
            "multiple repositories specified, cannot infer repository for " + quote(source.text)
        )
    return only.with_digest(source.hints.digest)


def merged(resolved: Descriptor, hints: DescriptorHints) -> Descriptor:
    """The descriptor that a place and the user tell of together. Annotations and platform are
    replaced as a whole. Raises `InvalidRequest` for another size."""
    if hints.size and hints.size != resolved.size:
        raise InvalidRequest(
            f"invalid size mismatch for {resolved.digest}, {hints.size} != {resolved.size}"
        )
    return msgspec.structs.replace(
        resolved,
        media_type=hints.media_type or resolved.media_type,
        annotations=hints.annotations or resolved.annotations,
        artifact_type=hints.artifact_type or resolved.artifact_type,
    )
