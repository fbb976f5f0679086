"""JSON that clients send."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import msgspec

from croze.errors import InvalidRequest
from croze.gotypes import gojson

T = TypeVar("T")


def read_json(data: bytes, kind: type[T]) -> T:
    """Raises `InvalidRequest`."""
    try:
        return gojson.unmarshal(data, type=kind)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"invalid JSON: {error}") from error


def read_struct(data: bytes, kind: type[T]) -> T:
    """As Go reads it: null is what a missing member is. Raises `InvalidRequest`."""
    return struct_of(read_json(data, dict[str, object]), kind)


def struct_of(value: Mapping[str, object], kind: type[T]) -> T:
    """The same of JSON that was read already."""
    try:
        return msgspec.convert(without_nulls(value), type=kind)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise InvalidRequest(f"invalid JSON: {error}") from error


def without_nulls(value: object) -> object:
    if isinstance(value, dict):
        return {k: without_nulls(v) for k, v in value.items() if v is not None}
    return value
