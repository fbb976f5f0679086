"""Columns of text, sizes and ages, as Docker's tools print them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Left-aligned columns, three spaces apart."""
    lines = [list(header), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(
        "   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


_SIZES = ("B", "kB", "MB", "GB", "TB", "PB")


def size(value: float) -> str:
    """Decimal units with four significant digits, as go-units prints them: `1.98MB`."""
    step = 0
    while value >= 1000 and step < len(_SIZES) - 1:
        value, step = value / 1000, step + 1
    return f"{value:.4g}{_SIZES[step]}"


_BINARY_SIZES = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def binary_size(value: float) -> str:
    """Powers of 1024 with four significant digits, as go-units prints them: `1.5GiB`."""
    step = 0
    while value >= 1024 and step < len(_BINARY_SIZES) - 1:
        value, step = value / 1024, step + 1
    return f"{value:.4g}{_BINARY_SIZES[step]}"


_HOUR_S = 3600
_SPANS = (  # from so many hours on: a unit, in hours
    (2 * 365 * 24, 365 * 24, "years"),
    (2 * 30 * 24, 30 * 24, "months"),
    (2 * 7 * 24, 7 * 24, "weeks"),
    (48, 24, "days"),
    (0, 1, "hours"),
)


def span(seconds: float) -> str:
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


def age(seconds: float) -> str:
    """`3 minutes ago`."""
    return f"{span(seconds)} ago"
