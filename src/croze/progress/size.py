"""Sizes as BuildKit prints them: decimal units, two digits, whole bytes below a thousand."""

from __future__ import annotations

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB")


def format_bytes(count: int) -> str:
    """A size as progress shows it, in powers of 1000: `1.50MB`."""
    step, base = 0, 1
    while abs(count) >= base * 1000 and step < len(_UNITS) - 1:
        step, base = step + 1, base * 1000
    return f"{count / base:.2f}{_UNITS[step]}" if step else f"{count}B"


def format_progress(current: int, total: int) -> str:
    """`current / total`, or what is known of it."""
    if total:
        return f"{format_bytes(current)} / {format_bytes(total)}"
    return format_bytes(current) if current else ""
