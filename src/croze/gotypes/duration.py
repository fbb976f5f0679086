"""Durations such as `1m30s`, as Go's `time` package reads and writes them."""

from __future__ import annotations

from croze.gotypes.strings import to_bytes
from croze.patterns import lazy_pattern

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
_SECOND = 10**9
_MOST = (1 << 63) - 1
_PART = lazy_pattern(r"([0-9]*)(?:\.([0-9]*))?([^0-9.]*)")


class DurationError(ValueError):
    """A text that is no duration. The message is Go's."""


def parse_duration(text: str) -> int:
    """Nanoseconds. Raises `DurationError`."""
    invalid = DurationError(f"time: invalid duration {_quoted(text)}")
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
            raise DurationError(f"time: missing unit in duration {_quoted(text)}")
        if part[3] not in _UNITS:
            raise DurationError(
                f"time: unknown unit {_quoted(part[3])} in duration {_quoted(text)}"
            )
        total += _ns(part[1], part[2] or "", _UNITS[part[3]])
        if total >= 1 << 63:
            raise invalid
    return -total if text.startswith("-") else total


def _quoted(text: str) -> str:
    """A text as Go's `time` quotes it: each byte that is not ASCII by its number."""
    escaped = "".join(map(_in_quotes, to_bytes(text)))
    return f'"{escaped}"'


def _in_quotes(byte: int) -> str:
    if not 0x20 <= byte < 0x7F and byte != 0x7F:
        return f"\\x{byte:02x}"
    char = chr(byte)
    return f"\\{char}" if char in '"\\' else char


def _ns(whole: str, fraction: str, unit: int) -> int:
    """A fraction counts as Go's floats have it, as many digits of it as 63 bits hold."""
    value, scale = 0, 1.0
    for digit in fraction[:20]:
        if value > _MOST // 10 or value * 10 + int(digit) > _MOST + 1:
            break
        value, scale = value * 10 + int(digit), scale * 10
    return int(whole[:40] or "0") * unit + int(float(value) * (unit / scale))


def format_duration(ns: int) -> str:
    """`1m30s`, `1.5s`, `0s`."""
    if ns < 0:
        return "-" + format_duration(-ns)
    if ns == 0:
        return "0s"
    if ns < _SECOND:
        unit = "ns" if ns < 10**3 else "µs" if ns < 10**6 else "ms"
        return _decimal(ns, _UNITS[unit]) + unit
    minutes, rest = divmod(ns, 60 * _SECOND)
    hours, minutes = divmod(minutes, 60)
    text = f"{hours}h{minutes}m" if hours else (f"{minutes}m" if minutes else "")
    return text + _decimal(rest, _SECOND) + "s"


def _decimal(value: int, unit: int) -> str:
    whole, fraction = divmod(value, unit)
    if not fraction:
        return str(whole)
    digits = str(fraction).rjust(len(str(unit)) - 1, "0").rstrip("0")
    return f"{whole}.{digits}"


_HOUR_S = 3600
_SPANS = (  # from so many hours on: a unit, in hours
    (2 * 365 * 24, 365 * 24, "years"),
    (2 * 30 * 24, 30 * 24, "months"),
    (2 * 7 * 24, 7 * 24, "weeks"),
    (48, 24, "days"),
    (0, 1, "hours"),
)


def human_duration(seconds: float) -> str:
    """Roughly how long, as go-units says it: `3 minutes`, `About an hour`, `5 weeks`."""
    if seconds < 1:
        return "Less than a second"
    if seconds < 60:
        return "1 second" if int(seconds) == 1 else f"{int(seconds)} seconds"
    if seconds < _HOUR_S:
        minutes = int(seconds / 60)
        return "About a minute" if minutes == 1 else f"{minutes} minutes"
    hours = int(seconds / _HOUR_S + 0.5)
    if hours == 1:
        return "About an hour"
    unit_h, name = next((unit, name) for least, unit, name in _SPANS if hours >= least)
    return f"{hours // unit_h} {name}"
