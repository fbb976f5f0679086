"""Where in a Dockerfile an error is.

An error raised while a Dockerfile is read or converted carries *places*: source details without
file name and data, one per nesting level, innermost first. Whoever knows the file turns them into
whole ones with `fill_source`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from msgspec.structs import replace

from croze.errors import CrozeError, InvalidRequest, Position, Range, SourceDetail

Ranges = tuple[Range, ...]
E = TypeVar("E", bound=CrozeError)


class DockerfileError(InvalidRequest):
    """The Dockerfile is wrong: bad syntax, arguments or references."""


def line_ranges(start: int, end: int = 0) -> Ranges:
    """One range per line from `start` to `end`, the form in which BuildKit keeps places."""
    return tuple(Range(Position(n), Position(n)) for n in range(start, max(start, end) + 1))


def with_location(err: E, ranges: Sequence[Range]) -> E:
    """A new error with a place behind those that are known, even if it is one of them."""
    return err.with_details((*err.details, SourceDetail("", b"", tuple(ranges))))


def set_location(err: E, ranges: Sequence[Range]) -> E:
    """A new error with this as the only place."""
    return with_location(without_places(err), ranges)


def without_places(err: E) -> E:
    """A new error that doesn't say where it is, as in replies to requests for information."""
    return err.with_details(d for d in err.details if not _is_place(d))


def locations(err: CrozeError) -> list[Ranges]:
    """The places gathered so far, in order."""
    return [d.ranges for d in err.details if isinstance(d, SourceDetail) and _is_place(d)]


def fill_source(
    err: E, filename: str, data: bytes, *, language: str = "Dockerfile", definition: bytes = b""
) -> E:
    """A new error with the places completed with the file they are in."""
    return err.with_details(
        replace(d, filename=filename, data=data, language=language, definition=definition)
        if isinstance(d, SourceDetail) and _is_place(d)
        else d
        for d in err.details
    )


def _is_place(detail: object) -> bool:
    return isinstance(detail, SourceDetail) and not detail.filename and not detail.data
