"""Sizes as docker/go-units reads them (`RAMInBytes`) and writes them (`HumanSize`)."""

from __future__ import annotations

from croze.errors import InvalidRequest

_UNITS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}
_SIZES = ("B", "kB", "MB", "GB", "TB", "PB")


def human_size(value: float) -> str:
    """Decimal units with four significant digits: `1.98MB`."""
    step = 0
    while value >= 1000 and step < len(_SIZES) - 1:
        value, step = value / 1000, step + 1
    return f"{value:.4g}{_SIZES[step]}"


def parse_bytes(text: str) -> int:
    """A size such as `64m` or `1.5 GiB`, in bytes; units are powers of 1024.

    Raises `InvalidRequest`.
    """
    end = max((text.rfind(c) for c in "0123456789. "), default=-1)
    if end == -1:
        raise InvalidRequest(f"invalid size: '{text}'")
    number, suffix = text[: end + 1].removesuffix(" "), text[end + 1 :]
    try:
        size = float(number)
    except ValueError:
        raise InvalidRequest(f'strconv.ParseFloat: parsing "{number}": invalid syntax') from None
    if size < 0:
        raise InvalidRequest(f"invalid size: '{text}'")
    return int(size * _multiplier(suffix))


def _multiplier(suffix: str) -> int:
    low = suffix.lower()
    if low in ("", "b"):
        return 1
    unit = _UNITS.get(low[0])
    if unit is None or low[1:] not in ("", "b", "ib"):
        raise InvalidRequest(f"invalid suffix: '{low if len(low) <= 3 else suffix}'")
    return unit
