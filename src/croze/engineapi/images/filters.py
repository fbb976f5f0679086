"""`filters` of `GET /images/json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from croze.engineapi.filters import Filters, boolean, labelled, read
from croze.engineapi.images.names import NamedImage, find, find_all
from croze.engineapi.images.views import view
from croze.engineapi.services import Services
from croze.engineapi.times import moment_ns
from croze.gotypes import glob
from croze.image import reference

SERVED = frozenset({"dangling", "label", "label!", "before", "since", "reference", "until"})


def parse(text: str) -> Filters:
    """The filters of `GET /images/json`. Raises `InvalidRequest`."""
    return read(text, SERVED)


def chosen(services: Services, filters: Mapping[str, Sequence[str]]) -> list[NamedImage]:
    """The images that pass all filters. Raises `InvalidRequest`, and `NotFound` for an image that
    others are compared with."""
    images = find_all(services.images)
    if dangling := filters.get("dangling"):
        only_dangling = boolean("dangling", dangling)
        images = [image for image in images if image.dangling is only_dangling]
    if patterns := filters.get("reference"):
        images = [part for image in images if (part := _matching(image, patterns)) is not None]
    for name, has in (("label", True), ("label!", False)):
        for label in filters.get(name, ()):
            images = [i for i in images if labelled(_labels(i, services), label) is has]
    for text in filters.get("until", ()):
        limit_s = moment_ns("until", text) / 10**9
        images = [image for image in images if view(image, services).created_s < limit_s]
    for name in filters.get("before", ()):
        limit_s = view(find(services.images, services.blobs, name), services).created_s
        images = [image for image in images if view(image, services).created_s < limit_s]
    for name in filters.get("since", ()):
        limit_s = view(find(services.images, services.blobs, name), services).created_s
        images = [image for image in images if view(image, services).created_s > limit_s]
    return images


def _matching(image: NamedImage, patterns: Sequence[str]) -> NamedImage | None:
    """The image with those of its names that match; None if none does."""
    records = [record for record in image.records if _matches(record.name, patterns)]
    return NamedImage(image.target, records) if records else None


def _matches(name: str, patterns: Sequence[str]) -> bool:
    """Whether the familiar name matches, with or without its tag. Raises `InvalidRequest`."""
    parsed = reference.parse(name)
    return any(
        glob.match(pattern, text)
        for pattern in patterns
        for text in (parsed.familiar(), parsed.familiar_name)
    )


def _labels(image: NamedImage, services: Services) -> Mapping[str, str]:
    return view(image, services).config.config.labels
