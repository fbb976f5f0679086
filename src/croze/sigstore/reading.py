"""JSON from anybody: bounded in size and parts before it is parsed, and strict as Go's reader of
protobuf messages is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TypeVar

from google.protobuf import json_format
from google.protobuf.message import Message

from croze.sigstore.errors import NotVerified

MOST_BYTES = 8 << 20
_MOST_PARTS = 20_000
"""A message costs 10 µs a part; the largest bundle that may be has a few hundred."""
_MOST_DATA_PARTS = 2_000_000
"""Plain JSON costs a tenth of a microsecond."""
_MOST_DEEP = 100
M = TypeVar("M", bound=Message)
_WRONG = (json_format.Error, ValueError, TypeError, AttributeError, OverflowError)


def read(data: bytes, message: M, what: str) -> M:
    """Fill `message`. Unknown fields are refused. Raises `NotVerified`."""
    text = _bounded(data, _MOST_PARTS, what)
    try:
        return json_format.Parse(text, message, max_recursion_depth=_MOST_DEEP)
    except _WRONG as error:
        raise _unreadable(what, error) from None
    except RecursionError:
        raise _too_deep(what) from None


def read_table(data: bytes, what: str) -> dict[str, object]:
    """A JSON object as it is. Raises `NotVerified`."""
    text = _bounded(data, _MOST_DATA_PARTS, what)
    try:
        table = json.loads(text)
    except ValueError as error:
        raise _unreadable(what, error) from None
    except RecursionError:
        raise _too_deep(what) from None
    if not isinstance(table, dict):
        raise NotVerified(f"{what} can't be read: it is no object")
    return table


def fill(table: Mapping[str, object], message: M, what: str) -> M:
    """Like `read`, of JSON that has been parsed. Raises `NotVerified`."""
    try:
        return json_format.ParseDict(dict(table), message, max_recursion_depth=_MOST_DEEP)
    except _WRONG as error:
        raise _unreadable(what, error) from None


def _bounded(data: bytes, most_parts: int, what: str) -> str:
    if len(data) > MOST_BYTES:
        raise NotVerified(f"{what} is larger than {MOST_BYTES >> 20} MB")
    if data.count(b",") + data.count(b"{") + data.count(b"[") > most_parts:
        raise NotVerified(f"{what} has more than {most_parts} parts")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise _unreadable(what, error) from None


def _unreadable(what: str, error: Exception) -> NotVerified:
    return NotVerified(f"{what} can't be read: {error}")


def _too_deep(what: str) -> NotVerified:
    return NotVerified(f"{what} can't be read: too deeply nested")
