"""Images as Docker sees them: one for each target in the store, with all of its names.

As in an engine with containerd's image store, an image's id is the digest of its manifest or index.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from msgspec import Struct

from croze.errors import InvalidRequest, NotFound
from croze.image import reference
from croze.image.descriptor import Descriptor
from croze.store.contract import BlobStore
from croze.store.image_contract import ImageRecord, ImageStore
from croze.store.present import present_manifests


class NamedImage(Struct, frozen=True):
    """All names in the store for one manifest or index."""

    target: Descriptor
    records: Sequence[ImageRecord]

    @property
    def id(self) -> str:
        return self.target.digest

    @property
    def tags(self) -> list[str]:
        """The image's names as people write them, `name:tag`."""
        names = [reference.parse(record.name) for record in self.records]
        return [r.familiar() for r in names if r.tag and not r.digest]

    @property
    def digests(self) -> list[str]:
        """`name@digest` for each repository that the image is in."""
        named = [reference.parse(record.name) for record in self.records]
        names = [r.familiar_name for r in named if r.familiar_name != reference.DANGLING]
        return [f"{name}@{self.id}" for name in dict.fromkeys(names)]

    @property
    def dangling(self) -> bool:
        """Whether nobody gave the image a name."""
        return not (self.tags or self.digests)

    @property
    def tagged_at(self) -> datetime:
        return max(record.updated_at for record in self.records)


def find_all(images: ImageStore) -> list[NamedImage]:
    """All images of the store, in the order of their first names."""
    groups: dict[str, list[ImageRecord]] = {}
    for record in images.list():
        groups.setdefault(record.target.digest, []).append(record)
    return [NamedImage(records[0].target, records) for records in groups.values()]


def find(images: ImageStore, blobs: BlobStore, text: str) -> NamedImage:
    """The image of a name, an id or the beginning of one. The digest of a config is an id, too: it
    is what older clients say they built. Raises `NotFound`, and `InvalidRequest` for what may be
    several, or is no name at all."""
    by_id: Mapping[str, NamedImage] = {image.id: image for image in find_all(images)}
    for whole in (text, f"sha256:{text}"):
        if whole in by_id:
            return by_id[whole]
    record = record_of(images, text)
    if record is not None:
        return by_id[record.target.digest]
    beginning = text.removeprefix("sha256:")
    if beginning and set(beginning) <= set("0123456789abcdef"):
        fitting = [i for i in by_id if i.partition(":")[2].startswith(beginning)]
        if len(fitting) > 1:
            raise InvalidRequest(f"ambiguous reference: {text}")
        if fitting:
            return by_id[fitting[0]]
        for image in by_id.values():
            for _, manifest in present_manifests(image.target, blobs):
                if manifest.config.digest.partition(":")[2].startswith(beginning):
                    return image
    raise missing(text)


def record_of(images: ImageStore, text: str) -> ImageRecord | None:
    """The record under a name, or under a repository with a digest; None if there is none."""
    try:
        parsed = reference.parse(text).tagged()
    except InvalidRequest:
        if _may_be_id(text):
            return None
        raise
    for record in images.list():
        if record.name == str(parsed):
            return record
        named = reference.parse(record.name)
        if parsed.digest == record.target.digest and parsed.name == named.name:
            return record
    return None


def missing(text: str) -> NotFound:
    """The error for an image that is not there, in Docker's words."""
    if _may_be_id(text):
        return NotFound(f"No such image: {text}")
    return NotFound(f"No such image: {reference.parse(text).tagged().familiar()}")


def _may_be_id(text: str) -> bool:
    digits = text.removeprefix("sha256:")
    return text != digits or (len(digits) == 64 and set(digits) <= set("0123456789abcdef"))
