"""Sizes in bytes, as go-units reads and writes them."""

from __future__ import annotations

import re

from croze.bake.errors import BakeError
from croze.gotypes.quote import quote

_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)? ?([kKmMgGtTpP])?(?:[iI]?[bB])?")
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB")


def parse_bytes(text: str) -> int:
    """A number of bytes with binary units: `64m`, `1GiB`."""
    match = _SIZE.fullmatch(text)
    if match is None or match[1] is None:
        raise BakeError(f"invalid size: {quote(text)}")
    return int(float(match[1]) * 1024 ** _POWERS[(match[2] or "").lower()])


def bytes_text(size: float) -> str:
    """The number with four digits and a unit: `64MiB`."""
    step = 0
    while size >= 1024 and step < len(_UNITS) - 1:
        size, step = size / 1024, step + 1
    return f"{size:.4g}{_UNITS[step]}"
