"""Text in columns."""

from __future__ import annotations

from collections.abc import Sequence


def align(rows: Sequence[Sequence[str]], *, padding: int) -> str:
    """Lines in which all cells but the last of a row are as wide as the widest of their column,
    and `padding` spaces more."""
    widths = [max(map(len, column)) + padding for column in zip(*rows, strict=True)]
    return "".join(
        "".join(cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=False))
        + f"{row[-1]}\n"
        for row in rows
    )
