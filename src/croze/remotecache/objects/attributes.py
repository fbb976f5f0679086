"""Reading attributes as BuildKit does: from what was said, or the daemon's environment."""

from __future__ import annotations

import os
from collections.abc import Mapping

from croze.errors import InvalidRequest
from croze.gotypes.quote import quote
from croze.store.attributes import parse_bool

Attrs = Mapping[str, str]


def names(attrs: Attrs) -> tuple[str, ...]:
    """`name`: several are parted by semicolons."""
    return tuple(attrs.get("name", "buildkit").split(";"))


def lenient_bool(attrs: Attrs, key: str) -> bool:
    """False for what is no boolean."""
    try:
        return parse_bool(key, attrs.get(key, ""), empty=False)
    except InvalidRequest:
        return False


def from_environment(attrs: Attrs, key: str, variable: str, default: str | None = None) -> str:
    """The attribute, or the variable. Raises `KeyError` if there is neither, and no default."""
    if key in attrs:
        return attrs[key]
    return os.environ[variable] if default is None else os.environ.get(variable, default)


def positive(attrs: Attrs, key: str, default: int) -> int:
    """An attribute that is a number. Raises `InvalidRequest` for what is not a positive integer."""
    text = attrs.get(key, str(default)).removeprefix("+")
    if not (text.isascii() and text.isdecimal() and len(text) < 10) or int(text) < 1:
        raise InvalidRequest(f"{key} must be a positive integer")
    return int(text)


def one_of(attrs: Attrs, key: str, allowed: tuple[str, ...]) -> str:
    """An attribute that has one of the `allowed` values; empty where nothing is said. Raises
    `InvalidRequest` for another value."""
    if key not in attrs:
        return ""
    if attrs[key] not in allowed:
        raise InvalidRequest(f"{key} must be {' or '.join(quote(each) for each in allowed)}")
    return attrs[key]
