"""`filters` of requests: `{"label": ["a=b"]}`, or `{"label": {"a=b": true}}` of old."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec

from croze.errors import InvalidRequest
from croze.gotypes import gojson
from croze.gotypes.regexp import BadExpression, Regexp

Filters = dict[str, list[str]]

_TRUE, _FALSE = ("1", "true"), ("0", "false")


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


def boolean(name: str, values: Sequence[str]) -> bool:
    """The truth value of a filter that has one. Raises `InvalidRequest`."""
    if set(values) <= set(_TRUE):
        return True
    if set(values) <= set(_FALSE):
        return False
    raise InvalidRequest(f"invalid filter '{name}=[{' '.join(values)}]'")


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
