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


def age(seconds: float) -> str:
    """How long ago that is: `3 minutes ago`."""
    return f"{human_duration(seconds)} ago"
