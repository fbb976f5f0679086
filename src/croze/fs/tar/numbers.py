"""Numbers in tar headers, as Go's `archive/tar` takes them (`strconv.go`)."""

from __future__ import annotations

from typing import Final

from croze.errors import Corrupted
from croze.patterns import lazy_pattern

INVALID: Final = "archive/tar: invalid tar header"
_LIMIT: Final = 1 << 63
_DIGITS: Final = 19
_OCTAL: Final = lazy_pattern(rb"[0-7]*")


def header_number(field: bytes, *, signed: bool = False) -> int:
    """The number in a field of a header, octal or base-256. Negative ones only where they make
    sense."""
    if field[0] & 0x80:
        value = int.from_bytes(field, "big") & ((1 << (len(field) * 8 - 1)) - 1)
        if field[0] & 0x40:
            value -= 1 << (len(field) * 8 - 1)
    else:
        text = field.strip(b" \0").partition(b"\0")[0]
        if not _OCTAL.fullmatch(text):
            raise Corrupted(INVALID)
        value = int(text or b"0", 8)
    if (value < 0 and not signed) or value >= _LIMIT:
        raise Corrupted(INVALID)
    return value


def decimal(value: bytes, *, signed: bool = False) -> int:
    """The number of a PAX record. Negative ones only where that is allowed."""
    digits = value[1:] if signed and value[:1] in (b"+", b"-") else value
    if not digits.isdigit() or len(digits) > _DIGITS or (number := int(digits)) >= _LIMIT:
        raise Corrupted(INVALID)
    return -number if value.startswith(b"-") else number
