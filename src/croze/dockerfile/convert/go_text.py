"""Values in history rows, the way Go's `fmt` prints them."""

from __future__ import annotations

from collections.abc import Sequence

from croze.quote import quote

_UNITS = (("ns", 1), ("µs", 10**3), ("ms", 10**6))
_SECOND = 10**9


def list_text(items: Sequence[str]) -> str:
    """`[a b]`."""
    return f"[{' '.join(items)}]"


def quoted_list_text(items: Sequence[str]) -> str:
    """`["a" "b"]`."""
    return list_text([quote(item) for item in items])


def duration_text(ns: int) -> str:
    """`1m30s`, `1.5s`, `0s`."""
    if ns < 0:
        return "-" + duration_text(-ns)
    if ns == 0:
        return "0s"
    if ns < _SECOND:
        unit, size = next((u, s) for u, s in reversed(_UNITS) if ns >= s)
        return _decimal(ns, size) + unit
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
