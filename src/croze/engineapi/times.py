"""Moments as Docker's parameters have them. Source: moby `api/types/time`."""

from __future__ import annotations

import re
import time

from croze.errors import CrozeError, InvalidRequest
from croze.gotypes.duration import DurationError, parse_duration
from croze.gotypes.moments import utc_text
from croze.image.config import parse_time

_SECONDS = re.compile(r"-?\d{1,18}(?:\.\d{1,9})?")


def moment_ns(name: str, text: str) -> int:
    """Nanoseconds since 1970 of a Unix time, a date, or a duration before now. Raises
    `InvalidRequest`."""
    if _SECONDS.fullmatch(text):
        whole, _, part = text.partition(".")
        return int(whole) * 10**9 + int(part.ljust(9, "0") or 0)
    try:
        return time.time_ns() - parse_duration(text)
    except DurationError:
        pass
    try:
        date = text if "T" in text else f"{text}T00:00:00"
        zoned = date if re.search(r"(Z|[+-]\d\d:\d\d)$", date) else f"{date}Z"
        return int(parse_time(zoned).timestamp() * 10**9)
    except (CrozeError, ValueError):
        raise InvalidRequest(f"invalid {name}: {text!r} is no time") from None


def rfc3339(ns: int) -> str:
    """A time with nanoseconds; Go's zero time for 0."""
    if not ns:
        return "0001-01-01T00:00:00Z"
    return f"{utc_text(ns // 10**9)}.{ns % 10**9:09d}Z"
