"""Durations such as `1m30s`, with the messages of Go's `time.ParseDuration`."""

from __future__ import annotations

import re

from croze.dockerfile.location import DockerfileError
from croze.quote import quote

_UNITS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_PART = re.compile(r"([0-9]*)(?:\.([0-9]*))?([^0-9.]*)")


def parse_duration_ns(text: str) -> int:
    """Nanoseconds. Raises `DockerfileError`."""
    invalid = DockerfileError(f"time: invalid duration {quote(text)}")
    rest = text[1:] if text[:1] in ("+", "-") else text
    if rest == "0":
        return 0
    if not rest:
        raise invalid
    total = 0
    while rest:
        part = _PART.match(rest)
        if part is None or not (part[1] or part[2]):
            raise invalid
        rest = rest[part.end() :]
        if not part[3]:
            raise DockerfileError(f"time: missing unit in duration {quote(text)}")
        if part[3] not in _UNITS:
            raise DockerfileError(f"time: unknown unit {quote(part[3])} in duration {quote(text)}")
        total += _ns(part[1], part[2] or "", _UNITS[part[3]])
        if total >= 1 << 63:
            raise invalid
    return -total if text.startswith("-") else total


def _ns(whole: str, fraction: str, unit: int) -> int:
    fraction = fraction[:20]
    scaled: int = int(fraction or "0") * unit // 10 ** len(fraction)
    return int(whole[:40] or "0") * unit + scaled
