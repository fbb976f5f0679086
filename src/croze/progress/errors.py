"""What went wrong, as a user should read it: lines of their file, then one message.

Source of the format: BuildKit `solver/errdefs/source.go`, buildx `cmd/buildx/main.go`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

from croze.errors import CrozeError, PolicyDetail, Range, SourceDetail

RULE = "--------------------"


def print_error(error: Exception, out: TextIO, prefix: str = "") -> None:
    """Excerpts, then `ERROR: <prefix>: <message>`."""
    if isinstance(error, CrozeError):
        for detail in error.details:
            if isinstance(detail, PolicyDetail):
                out.writelines(f"Policy: {each}\n" for each in detail.messages if each)
        for detail in error.details:
            if isinstance(detail, SourceDetail):
                out.write(excerpt(detail))
    message = f"{prefix}: {error}" if prefix else str(error)
    out.write(f"ERROR: {message}\n")


def excerpt(source: SourceDetail) -> str:
    """`Dockerfile:2` and the lines around, those meant marked; empty if there are none."""
    lines = source.data.decode(errors="replace").split("\n")
    first, last = _bounds(source.ranges)
    if not 1 <= first <= len(lines):
        return ""
    last = min(last, len(lines))
    start, end = _around(first, last, len(lines))
    shown = [
        f" {number:3} | {'>>>' if _covers(source.ranges, number) else '   '} {lines[number - 1]}\n"
        for number in range(start, end + 1)
    ]
    return f"{source.filename}:{first}\n{RULE}\n{''.join(shown)}{RULE}\n"


def _bounds(ranges: Sequence[Range]) -> tuple[int, int]:
    """First and last line of all; (0, 0) if there are none."""
    first = min((r.start.line for r in ranges), default=0)
    return first, max((_last(r) for r in ranges), default=0)


def _last(where: Range) -> int:
    return max(where.end.line, where.start.line)


def _covers(ranges: Sequence[Range], line: int) -> bool:
    return any(where.start.line <= line <= _last(where) for where in ranges)


def _around(start: int, end: int, count: int) -> tuple[int, int]:
    """Some lines more on both sides; one line alone gets more of them."""
    around = 4 if start == end else 2
    added = 0
    while added < around:
        if start > 1:
            start -= 1
            added += 1
        if end != count:
            end += 1
            added += 1
        added += 1
    return start, end
