"""`filters` of `GET /images/json`: `{"label": ["a=b"]}`, or `{"label": {"a=b": true}}` of old."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from fnmatch import fnmatchcase

import msgspec

from croze.engineapi.contract import Services
from croze.engineapi.names import Image, find, find_all
from croze.engineapi.views import view
from croze.errors import InvalidRequest, Unsupported
from croze.image import reference

Filters = dict[str, list[str]]

SERVED = frozenset({"dangling", "label", "before", "since", "reference"})
_TRUE, _FALSE = ("1", "true"), ("0", "false")


def parse(text: str) -> Filters:
    """Raises `InvalidRequest`, and `Unsupported` for a filter of Docker's that is not served."""
    if '"until"' in text and "until" in read(text, (*SERVED, "until")):
        raise Unsupported("the filter until is not served here")
    return read(text, SERVED)


def read(text: str, served: Collection[str]) -> Filters:
    """Filters of these names. Raises `InvalidRequest`."""
    if not text:
        return {}
    try:
        found = msgspec.json.decode(text, type=dict[str, list[str] | dict[str, bool]])
    except msgspec.MsgspecError as error:
        raise InvalidRequest(f"invalid filters: {error}") from error
    for name in found:
        if name not in served:
            raise InvalidRequest(f"invalid filter '{name}'")
    return {name: list(values) for name, values in found.items()}


def chosen(services: Services, filters: Mapping[str, Sequence[str]]) -> list[Image]:
    """The images that pass all filters. Raises `InvalidRequest`, and `NotFound` for an image that
    others are compared with."""
    found = find_all(services.images)
    if dangling := filters.get("dangling"):
        wanted = _boolean("dangling", dangling)
        found = [image for image in found if (not image.tags) is wanted]
    if patterns := filters.get("reference"):
        found = [part for image in found if (part := _matching(image, patterns)) is not None]
    for label in filters.get("label", ()):
        found = [image for image in found if _labelled(image, label, services)]
    for name in filters.get("before", ()):
        limit_s = view(find(services.images, services.blobs, name), services).created_s
        found = [image for image in found if view(image, services).created_s < limit_s]
    for name in filters.get("since", ()):
        limit_s = view(find(services.images, services.blobs, name), services).created_s
        found = [image for image in found if view(image, services).created_s > limit_s]
    return found


def _boolean(name: str, values: Sequence[str]) -> bool:
    if set(values) <= set(_TRUE):
        return True
    if set(values) <= set(_FALSE):
        return False
    raise InvalidRequest(f"invalid filter '{name}={values}'")


def _matching(image: Image, patterns: Sequence[str]) -> Image | None:
    """The image with those of its names that match; None if none does."""
    kept = [record for record in image.records if _matches(record.name, patterns)]
    return Image(image.target, kept) if kept else None


def _matches(name: str, patterns: Sequence[str]) -> bool:
    """As Go's `path.Match` on the familiar name, with and without its tag."""
    parsed = reference.parse(name)
    return any(
        text.count("/") == pattern.count("/") and fnmatchcase(text, pattern)
        for pattern in patterns
        for text in (parsed.familiar(), parsed.familiar_name)
    )


def _labelled(image: Image, label: str, services: Services) -> bool:
    key, equals, value = label.partition("=")
    labels = view(image, services).config.config.labels
    return key in labels and (not equals or labels[key] == value)
