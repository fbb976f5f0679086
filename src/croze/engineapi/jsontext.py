"""JSON that clients send."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from croze.errors import InvalidRequest

T = TypeVar("T")


def read_json(data: bytes, kind: type[T]) -> T:
    """Raises `InvalidRequest`."""
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"invalid JSON: {error}") from error
