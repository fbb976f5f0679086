"""Sizes as docker/go-units reads them (`RAMInBytes`) and writes them (`HumanSize`, `BytesSize`)."""

from __future__ import annotations

from croze.errors import InvalidRequest
from croze.gotypes.letters import to_lower
from croze.gotypes.numbers import parse_float
from croze.gotypes.strings import to_bytes

_UNITS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}
_DECIMAL = ("B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB")
_BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB")


def human_size(value: float) -> str:
    """Decimal units with four significant digits: `1.98MB`."""
    return _in_units(value, 1000, _DECIMAL)


def binary_size(value: float) -> str:
    """Powers of 1024 with four significant digits: `1.5GiB`."""
    return _in_units(value, 1024, _BINARY)


def _in_units(value: float, base: int, units: tuple[str, ...]) -> str:
    step = 0
    while value >= base and step < len(units) - 1:
        value, step = value / base, step + 1
    return f"{value:.4g}{units[step]}"


def parse_bytes(text: str) -> int:
    """The bytes that `64m`, `1.5 GiB` or `100` stand for; units are powers of 1024. Raises
    `InvalidRequest` in go-units' words."""
    end = max((text.rfind(c) for c in "0123456789. "), default=-1) + 1
    if not end:
        raise InvalidRequest(f"invalid size: '{text}'")
    number, suffix = text[:end].removesuffix(" "), text[end:]
    size = parse_float(number)
    if size < 0:
        raise InvalidRequest(f"invalid size: '{text}'")
    size *= _multiplier(suffix)
    return int(size) if size < 1 << 63 else -1 << 63  # as Go: what is too much, or no number


def _multiplier(suffix: str) -> int:
    if len(to_bytes(suffix)) > 3:
        raise InvalidRequest(f"invalid suffix: '{suffix}'")
    low = to_lower(suffix)
    if low in ("", "b"):
        return 1
    unit = _UNITS.get(low[0])
    if unit is None or low[1:] not in ("", "b", "ib"):
        raise InvalidRequest(f"invalid suffix: '{low}'")
    return unit
