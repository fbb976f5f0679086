"""Numbers and booleans in options, with the messages of Go's `strconv`, which users see."""

from __future__ import annotations

import re

from croze.errors import InvalidRequest
from croze.gotypes.quote import quote

_INT = re.compile(r"[+-]?[0-9]+\Z")


def parse_int(text: str, bits: int = 64, *, call: str = "ParseInt") -> int:
    """A decimal number that fits. Raises `InvalidRequest`."""
    if not _INT.match(text):
        raise _error(call, text, "invalid syntax")
    value = int(text)
    if not -(1 << (bits - 1)) <= value < 1 << (bits - 1):
        raise _error(call, text, "value out of range")
    return value


def parse_uint(text: str) -> int:
    """A decimal number without sign, of 64 bits. Raises `InvalidRequest`."""
    if not (text.isascii() and text.isdigit()):
        raise _error("ParseUint", text, "invalid syntax")
    value = int(text)
    if value >= 1 << 64:
        raise _error("ParseUint", text, "value out of range")
    return value


def _error(call: str, text: str, what: str) -> InvalidRequest:
    return InvalidRequest(f"strconv.{call}: parsing {quote(text)}: {what}")
