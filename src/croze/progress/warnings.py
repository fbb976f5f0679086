"""The warnings of a build: collected while it runs, summed up at the end.

Source of the format: buildx `commands/build.go` (printWarnings).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING, TextIO

from croze.errors import Position, Range, SourceDetail
from croze.progress.errors import excerpt

if TYPE_CHECKING:
    from croze.api import control_pb2

YELLOW, RESET = "\x1b[33m", "\x1b[0m"


class Warnings:
    """The warnings of a build, each once, whichever vertex it was raised for."""

    def __init__(self) -> None:
        self._found: dict[tuple[object, ...], control_pb2.VertexWarning] = {}

    def add(self, warnings: Iterable[control_pb2.VertexWarning]) -> None:
        for warning in warnings:
            self._found.setdefault(_key(warning), warning)

    def __contains__(self, warning: object) -> bool:
        return warning in self._found.values()

    def __iter__(self) -> Iterator[control_pb2.VertexWarning]:
        return iter(self._found.values())

    def __len__(self) -> int:
        return len(self._found)


def _key(warning: control_pb2.VertexWarning) -> tuple[object, ...]:
    return (
        warning.short,
        warning.level,
        warning.url,
        tuple(warning.detail),
        warning.info.filename,
        warning.info.data,
        tuple(
            (r.start.line, r.start.character, r.end.line, r.end.character) for r in warning.ranges
        ),
    )


def print_warnings(
    warnings: Collection[control_pb2.VertexWarning],
    out: TextIO,
    *,
    debug: bool = False,
    tool: str = "croze",
) -> None:
    """Print the summary; with `debug`, a flag of `tool`, all that is known of each."""
    if not len(warnings):
        return
    count = "1 warning found" if len(warnings) == 1 else f"{len(warnings)} warnings found"
    hint = "" if debug else f" (use {tool} --debug to expand)"
    out.write(f"\n {YELLOW}{count}{hint}:\n{RESET}")
    for warning in warnings:
        out.write(f" - {warning.short.decode(errors='replace')}\n")
        if debug:
            out.write(_details(warning) + "\n")


def _details(warning: control_pb2.VertexWarning) -> str:
    text = "".join(line.decode(errors="replace") + "\n" for line in warning.detail)
    if warning.url:
        text += f"More info: {warning.url}\n"
    if warning.HasField("info") and warning.ranges:
        text += excerpt(_source(warning))
    return text


def _source(warning: control_pb2.VertexWarning) -> SourceDetail:
    ranges = tuple(
        Range(
            Position(where.start.line, where.start.character),
            Position(where.end.line, where.end.character),
        )
        for where in warning.ranges
    )
    return SourceDetail(warning.info.filename, warning.info.data, ranges)
