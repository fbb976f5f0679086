"""Numbers, tables and times as `buildctl` prints them."""

from __future__ import annotations

import sys

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB")


def size(value: int, digits: int | None = 2) -> str:
    """`1.23kB`; bytes as they are. With no `digits`, as many as there are."""
    step, scaled = 0, float(value)
    while scaled >= 1000 and step < len(_UNITS) - 1:
        scaled, step = scaled / 1000, step + 1
    if not step:
        return f"{value}B"
    return (
        f"{scaled:.{digits}f}{_UNITS[step]}" if digits is not None else f"{scaled:g}{_UNITS[step]}"
    )


def no_topic(word: str) -> int:
    """The exit code for a command that nobody knows."""
    print(f"No help topic for '{word}'", file=sys.stderr)
    return 3
