"""What went wrong, as a user should read it: lines of their file, then one message.

Source of the format: buildx `cmd/buildx/main.go`.
"""

from __future__ import annotations

from typing import TextIO

from croze.errors import CrozeError, PolicyDetail, SourceDetail
from croze.excerpt import marked_lines


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
    return marked_lines(source.filename, source.data.decode(errors="replace"), source.ranges)
