"""The lines of a file around a place, as build output shows them.

Source of the format: BuildKit `solver/errdefs/source.go`.
"""

from __future__ import annotations

from collections.abc import Sequence

from croze.errors import Range

_RULE = "-" * 20


def marked_lines(filename: str, text: str, ranges: Sequence[Range]) -> str:
    """`Dockerfile:2` and the lines around, those in `ranges` marked; empty if there are none."""
    lines = text.split("\n")
    first = min((where.start.line for where in ranges), default=0)
    if not 1 <= first <= len(lines):
        return ""
    start, end = _widen(first, min(max(map(_last, ranges)), len(lines)), len(lines))
    body = "".join(
        f" {number:3} | {'>>>' if _covers(ranges, number) else '   '} {lines[number - 1]}\n"
        for number in range(start, end + 1)
    )
    return f"{filename}:{first}\n{_RULE}\n{body}{_RULE}\n"


def _last(where: Range) -> int:
    return max(where.end.line, where.start.line)


def _covers(ranges: Sequence[Range], line: int) -> bool:
    return any(where.start.line <= line <= _last(where) for where in ranges)


def _widen(start: int, end: int, count: int) -> tuple[int, int]:
    """Some lines more on both sides; one line alone gets more of them."""
    budget = 4 if start == end else 2
    taken_lines = 0
    while taken_lines < budget:
        if start > 1:
            start -= 1
            taken_lines += 1
        if end != count:
            end += 1
            taken_lines += 1
        taken_lines += 1
    return start, end
