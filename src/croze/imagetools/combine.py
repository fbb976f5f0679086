"""Manifests into one image. Decides; no I/O.

Source: buildx `util/imagetools/create.go`: when a source is kept byte for byte, which media type an
index has, how entries of one digest meet, what a choice of platforms leaves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec
from msgspec import Struct

from croze.errors import InvalidRequest
from croze.gotypes.quote import quote
from croze.image import descriptor as media
from croze.image import manifest as manifests
from croze.image import platform as platforms
from croze.image.annotations import AnnotationKey
from croze.image.descriptor import Descriptor
from croze.image.manifest import Index
from croze.image.platform import Matcher, Platform

REFERENCE_TYPE = "vnd.docker.reference.type"
REFERENCE_DIGEST = "vnd.docker.reference.digest"
ATTESTATION = "attestation-manifest"
ATTESTATION_ARTIFACT = "application/vnd.docker.attestation.manifest.v1+json"


class SourceManifest(Struct, frozen=True):
    """The manifest of a source. `descriptor` has the platform of a single image."""

    descriptor: Descriptor
    data: bytes


class CombinedImage(Struct, frozen=True):
    """The image to publish. `origin` says for each manifest digest which source holds it."""

    descriptor: Descriptor
    data: bytes
    origin: Mapping[str, int]

    @property
    def entries(self) -> tuple[Descriptor, ...]:
        """The manifests that must be at the target before the image: what the index names, or the
        manifest itself."""
        if self.descriptor.media_type not in media.INDEX_TYPES:
            return (self.descriptor,)
        return manifests.parse_index(self.data).manifests

    def source_of(self, entry: Descriptor) -> int:
        """The number of the source that an entry comes from."""
        return self.origin.get(entry.digest, 0)


def combine(
    parts: Sequence[SourceManifest], annotations: Mapping[AnnotationKey, str], *, prefer_index: bool
) -> CombinedImage:
    """One image of all parts. A single one stays as it is if it is an index already, or if none
    is preferred. Raises `InvalidRequest` for annotations that have no place in it."""
    first = parts[0]
    is_index = first.descriptor.media_type in media.INDEX_TYPES
    if len(parts) == 1 and not annotations and (is_index or not prefer_index):
        return CombinedImage(first.descriptor, first.data, {first.descriptor.digest: 0})
    entries: dict[str, Descriptor] = {}
    origin: dict[str, int] = {}
    for at, part in enumerate(parts):
        for entry in _entries(part):
            earlier = entries.get(entry.digest)
            entries[entry.digest] = _met(earlier, entry) if earlier else entry
            origin[entry.digest] = at
    return _index(list(entries.values()), annotations, origin)


def _entries(part: SourceManifest) -> Iterable[Descriptor]:
    if part.descriptor.media_type in media.INDEX_TYPES:
        return manifests.parse_index(part.data).manifests
    return (part.descriptor,)


def _met(earlier: Descriptor, again: Descriptor) -> Descriptor:
    return msgspec.structs.replace(
        earlier,
        media_type=earlier.media_type or again.media_type,
        platform=again.platform or earlier.platform,
        annotations={**earlier.annotations, **again.annotations},
    )


def _index(
    entries: list[Descriptor], annotations: Mapping[AnnotationKey, str], origin: Mapping[str, int]
) -> CombinedImage:
    docker = all(one.media_type.startswith("application/vnd.docker.") for one in entries)
    media_type = media.DOCKER_INDEX if docker else media.OCI_INDEX
    if docker and annotations:
        raise InvalidRequest(
            "annotations need an OCI index, and a list of Docker manifests has none: "
            f"{quote(next(iter(annotations)).key)} cannot be set"
        )
    on_index: dict[str, str] = {}
    for key, value in annotations.items():
        match key.type:
            case "index":
                on_index[key.key] = value
            case "manifest-descriptor":
                entries = [_annotated(one, key, value) for one in entries]
            case "index-descriptor":
                raise InvalidRequest(
                    f"{quote(key.type)} annotations are invalid while creating an image"
                )
            case _:
                raise InvalidRequest(f"{quote(key.type)} annotations are not supported yet")
    index = Index(
        media_type=media_type,
        manifests=tuple(entries),
        annotations=on_index or msgspec.UNSET,
    )
    data = manifests.marshal(index)
    return CombinedImage(manifests.describe(data, media_type), data, origin)


def _annotated(entry: Descriptor, key: AnnotationKey, value: str) -> Descriptor:
    if key.platform is not None:
        here = platforms.format(entry.platform) if entry.platform else ""
        if here != platforms.format_all(key.platform):
            return entry
    return msgspec.structs.replace(entry, annotations={**entry.annotations, key.key: value})


def chosen(image: CombinedImage, targets: Sequence[Platform]) -> CombinedImage:
    """The image with these platforms alone and what is attested of them; all with none given.
    Raises `InvalidRequest` if nothing is left."""
    if not targets:
        return image
    matcher = Matcher(targets)
    descriptor = image.descriptor
    if descriptor.media_type not in media.INDEX_TYPES:
        if descriptor.platform is None:
            raise InvalidRequest(
                "cannot filter platforms from a manifest without platform information"
            )
        if not matcher.match(descriptor.platform):
            raise InvalidRequest(
                f"input platform {platforms.format(descriptor.platform)} does not match any of "
                "the provided platforms"
            )
        return image
    entries = image.entries
    fitting = [one for one in entries if _kept(one, entries, matcher)]
    if not fitting:
        raise InvalidRequest("none of the manifests match the provided platforms")
    return image if len(fitting) == len(entries) else _rewritten(image, fitting)


def _kept(entry: Descriptor, entries: Sequence[Descriptor], matcher: Matcher) -> bool:
    if entry.platform is None or matcher.match(entry.platform):
        return True
    subject = attested(entry)
    return any(
        one.digest == subject and (one.platform is None or matcher.match(one.platform))
        for one in entries
    )


def attested(entry: Descriptor) -> str:
    """The digest of the manifest that an index's entry holds attestations of; empty for others."""
    if entry.annotations.get(REFERENCE_TYPE) != ATTESTATION:
        return ""
    return entry.annotations.get(REFERENCE_DIGEST, "")


def without_attestation(image: CombinedImage) -> list[Descriptor]:
    """Entries of an index that none of its other entries attests: the registry may know more."""
    if image.descriptor.media_type not in media.INDEX_TYPES:
        return []
    subjects = {attested(one) for one in image.entries}
    return [one for one in image.entries if one.digest not in subjects and not attested(one)]


def with_attestations(
    image: CombinedImage, attestations: Mapping[str, Descriptor]
) -> CombinedImage:
    """The image with manifests of attestations, by the digest that they are about, as BuildKit
    enters them."""
    here = {one.digest for one in image.entries}
    more = {s: one for s, one in attestations.items() if one.digest not in here}
    if not more:
        return image
    added = [
        msgspec.structs.replace(
            one,
            platform=Platform(architecture="unknown", os="unknown"),
            annotations={
                **one.annotations,
                REFERENCE_TYPE: ATTESTATION,
                REFERENCE_DIGEST: subject,
            },
            artifact_type=None,
        )
        for subject, one in more.items()
    ]
    origin = dict(image.origin)
    origin |= {one.digest: origin.get(subject, 0) for subject, one in more.items()}
    rewritten = _rewritten(image, [*image.entries, *added])
    return CombinedImage(rewritten.descriptor, rewritten.data, origin)


def _rewritten(image: CombinedImage, entries: Sequence[Descriptor]) -> CombinedImage:
    index = msgspec.structs.replace(manifests.parse_index(image.data), manifests=tuple(entries))
    data = manifests.marshal(index)
    described = manifests.describe(data, image.descriptor.media_type)
    described = msgspec.structs.replace(described, annotations=image.descriptor.annotations)
    return CombinedImage(described, data, image.origin)
