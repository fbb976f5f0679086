"""What is wrong with a definition, as users see it."""

from __future__ import annotations

from collections.abc import Mapping

from croze.bake.hcl.source import HclError
from croze.errors import InvalidRequest, Position, Range, SourceDetail


class BakeError(InvalidRequest):
    """The definition, or what was asked of it, makes no sense."""


def with_excerpt(error: HclError, files: Mapping[str, bytes]) -> BakeError:
    """The error for a user: the message, and the lines of the file that it is about."""
    subject = error.subject
    shown = BakeError(str(error))
    if subject is None:
        return shown
    start, end = subject.start, subject.end
    lines = Range(Position(start.line, start.column), Position(end.line, end.column))
    data = files.get(subject.filename, b"")
    return shown.with_detail(SourceDetail(subject.filename, data, (lines,), language="HCL"))
