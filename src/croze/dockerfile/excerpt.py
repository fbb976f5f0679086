"""The lines of a file around a place, as build output shows them."""

from __future__ import annotations

from collections.abc import Sequence

from croze.errors import Range
from croze.gotypes.strings import from_bytes

_RULE = "-" * 20


def excerpt(filename: str, data: bytes, ranges: Sequence[Range]) -> str:
    """The marked lines with a few around them; empty where there is nothing to show."""
    lines = from_bytes(data).split("\n")
    if not ranges:
        return ""
    marked = {n for r in ranges for n in range(r.start.line, max(r.start.line, r.end.line) + 1)}
    first, last = min(r.start.line for r in ranges), min(max(marked), len(lines))
    if not 1 <= first <= len(lines):
        return ""
    start, end = _widen(first, last, len(lines))
    body = "".join(
        f" {n:3d} | {'>>>' if n in marked else '   '} {lines[n - 1]}\n"
        for n in range(start, end + 1)
    )
    return f"{filename}:{first}\n{_RULE}\n{body}{_RULE}\n"


def _widen(start: int, end: int, count: int) -> tuple[int, int]:
    """Lines on both sides: as many rounds as fit into a budget that counts every line taken."""
    budget = 4 if start == end else 2
    line_count = 0
    while line_count < budget:
        if start > 1:
            start -= 1
            line_count += 1
        if end != count:
            end += 1
            line_count += 1
        line_count += 1
    return start, end
