"""`filters` of `GET /images/json`: `{"label": ["a=b"]}`, or `{"label": {"a=b": true}}` of old."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec

from croze.engineapi.contract import Services
from croze.engineapi.names import NamedImage, find, find_all
from croze.engineapi.times import moment_ns
from croze.engineapi.views import view
from croze.errors import InvalidRequest
from croze.gotypes import glob, gojson
from croze.gotypes.regexp import BadExpression, Regexp
from croze.image import reference

Filters = dict[str, list[str]]

SERVED = frozenset({"dangling", "label", "label!", "before", "since", "reference", "until"})
_TRUE, _FALSE = ("1", "true"), ("0", "false")


def parse(text: str) -> Filters:
    """The filters of `GET /images/json`. Raises `InvalidRequest`."""
    return read(text, SERVED)


def read(text: str, served: Collection[str]) -> Filters:
    """Filters of these names. Raises `InvalidRequest`."""
    if not text:
        return {}
    try:
        filters = gojson.unmarshal(text, type=dict[str, list[str] | dict[str, bool]])
    except (msgspec.MsgspecError, RecursionError) as error:
        raise InvalidRequest(f"invalid filters: {error}") from error
    for name in filters:
        if name not in served:
            raise InvalidRequest(f"invalid filter '{name}'")
    return {name: list(values) for name, values in filters.items()}


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


def boolean(name: str, values: Sequence[str]) -> bool:
    """The truth value of a filter that has one. Raises `InvalidRequest`."""
    if set(values) <= set(_TRUE):
        return True
    if set(values) <= set(_FALSE):
        return False
    raise InvalidRequest(f"invalid filter '{name}=[{' '.join(values)}]'")


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


def matches(pattern: str, *texts: str) -> bool:
    """Whether a part of one of the texts is as the regular expression says; none is as one that
    can't be read."""
    try:
        expression = Regexp(pattern)
    except BadExpression:
        return False
    return any(expression.search(text) for text in texts)


def labelled(labels: Mapping[str, str], label: str) -> bool:
    """`key`, or `key=value`."""
    key, equals, value = label.partition("=")
    return key in labels and (not equals or labels[key] == value)
