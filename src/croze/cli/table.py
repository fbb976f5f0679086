"""Columns of text, sizes and ages, as Docker's tools print them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from croze.gotypes.duration import human_duration


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Left-aligned columns, three spaces apart."""
    lines = [list(header), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(
        "   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


_BINARY_SIZES = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def binary_size(value: float) -> str:
    """Powers of 1024 with four significant digits, as go-units prints them: `1.5GiB`."""
    step = 0
    while value >= 1024 and step < len(_BINARY_SIZES) - 1:
        value, step = value / 1024, step + 1
    return f"{value:.4g}{_BINARY_SIZES[step]}"


def age(seconds: float) -> str:
    """How long ago that is: `3 minutes ago`."""
    return f"{human_duration(seconds)} ago"
