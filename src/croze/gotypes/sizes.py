"""Amounts of memory as the Docker CLI's options have them.

Source: docker/go-units `size.go`, RAMInBytes: units are powers of 1024.
"""

from __future__ import annotations

import re

from croze.errors import InvalidRequest
from croze.gotypes.quote import quote

_DIGITS = re.compile(r"(?s:(.*)[0-9. ])")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)\Z")
_SUFFIX = re.compile(r"(?:b|([kmgtpezy])(?:i?b)?)?\Z", re.IGNORECASE)
_POWERS = " kmgtpezy"


def parse_memory(text: str) -> int:
    """Bytes: `64m`, `1.5GiB`, `100`. Raises `InvalidRequest` in go-units' words."""
    match = _DIGITS.match(text)
    if match is None:
        raise InvalidRequest(f"invalid size: '{text}'")
    at = match.end()
    number, suffix = text[:at].removesuffix(" "), text[at:]
    if not _NUMBER.match(number):
        raise InvalidRequest(f"strconv.ParseFloat: parsing {quote(number)}: invalid syntax")
    if float(number) < 0:
        raise InvalidRequest(f"invalid size: '{text}'")
    unit = _SUFFIX.match(suffix)
    if unit is None:
        raise InvalidRequest(f"invalid suffix: '{suffix.lower()}'")
    return int(float(number) * 1024 ** _POWERS.index((unit[1] or " ").lower()))
