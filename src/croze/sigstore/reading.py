"""Protobuf messages in JSON: bounded, and strict as Go's reader is."""

from __future__ import annotations

from typing import TypeVar

from google.protobuf import json_format
from google.protobuf.message import Message

from croze.sigstore.errors import NotVerified

MOST_BYTES = 32 << 20
_MOST_DEEP = 100
M = TypeVar("M", bound=Message)


def read(data: bytes, message: M, what: str) -> M:
    """Fill `message`. Unknown fields are refused. Raises `NotVerified`."""
    if len(data) > MOST_BYTES:
        raise NotVerified(f"{what} is larger than {MOST_BYTES >> 20} MB")
    try:
        text = data.decode()
        return json_format.Parse(text, message, max_recursion_depth=_MOST_DEEP)
    except (json_format.Error, ValueError, TypeError, AttributeError, OverflowError) as error:
        raise NotVerified(f"{what} can't be read: {error}") from None
    except RecursionError:
        raise NotVerified(f"{what} can't be read: too deeply nested") from None
