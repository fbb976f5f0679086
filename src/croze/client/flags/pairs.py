"""Key=value pairs, which most flags are made of."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from croze.errors import InvalidRequest
from croze.gotypes.booleans import TRUE
from croze.gotypes.quote import quote


def pairs(values: Iterable[str], *, from_env: bool) -> dict[str, str]:
    """The pairs of `KEY=value` flags; one without a value is taken from the environment, or left
    out if it is not there; without `from_env` it is empty."""
    result: dict[str, str] = {}
    for text in values:
        key, equals, value = text.partition("=")
        if not key:
            raise InvalidRequest(f"invalid key-value pair {quote(text)}: empty key")
        if equals or not from_env:
            result[key] = value
        elif key in os.environ:
            result[key] = os.environ[key]
    return result


def is_true(attrs: Mapping[str, str], key: str) -> bool:
    return attrs.get(key, "") in TRUE
