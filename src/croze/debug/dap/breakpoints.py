"""Where a user wants to stop, by file and line.

Source: buildx `dap/adapter.go` (breakpointMap).
"""

from __future__ import annotations

import itertools
import posixpath
from collections.abc import Callable, Sequence

from msgspec import Struct

from croze.api import ops_pb2
from croze.debug.dap.protocol import Message, number

Changed = Callable[[Message], None]
"""Is told of a breakpoint that has been found, or not, as the protocol has it."""


class Breakpoint(Struct):
    id: int
    path: str
    line: int
    column: int
    end_line: int
    end_column: int
    verified: bool = False
    reason: str = "pending"

    def message(self) -> Message:
        message: Message = {
            "id": self.id,
            "verified": self.verified,
            "source": {"name": posixpath.basename(self.path), "path": self.path},
        }
        optional: Message = {
            "line": self.line,
            "column": self.column,
            "endLine": self.end_line,
            "endColumn": self.end_column,
            "reason": self.reason,
        }
        return message | {name: value for name, value in optional.items() if value}

    def is_at(self, line: int, column: int) -> bool:
        return self.line <= line <= self.end_line and self.column <= column <= self.end_column

    def is_in(self, where: ops_pb2.Range) -> bool:
        start, end = where.start, where.end
        if not start.line <= self.line <= end.line:
            return False
        if self.line == start.line and self.column < start.character:
            return False
        return not (self.line == end.line and self.column > end.character)


class Breakpoints:
    """The breakpoints of all files. Paths count whatever their case: what the right one is, only
    the build knows."""

    def __init__(self) -> None:
        self._by_path: dict[str, list[Breakpoint]] = {}
        self._ids = itertools.count(1)

    def put(self, path: str, requests: Sequence[Message]) -> list[Breakpoint]:
        """Set all breakpoints of a file; one that was there before stays what it was."""
        before = self._by_path.get(path.lower(), [])
        now = []
        for each in requests:
            line, column = number(each, "line"), number(each, "column")
            earlier = next((b for b in before if b.is_at(line, column)), None)
            now.append(earlier or Breakpoint(next(self._ids), path, line, column, line, column))
        self._by_path[path.lower()] = now
        return now

    def found_in(self, source: ops_pb2.Source, changed: Changed) -> dict[str, int]:
        """The ids of breakpoints by the digests of the ops that they are on."""
        lines: dict[str, int] = {}
        for digest, locations in source.locations.items():
            hit = self._hit(source, locations, changed)
            if hit is not None:
                lines[digest] = hit.id
        for info in source.infos:
            for each in self._by_path.get(info.filename.lower(), []):
                if not each.verified and each.reason != "failed":
                    each.reason = "failed"
                    changed(each.message())
        return lines

    def _hit(
        self, source: ops_pb2.Source, locations: ops_pb2.Locations, changed: Changed
    ) -> Breakpoint | None:
        for location in locations.locations:
            if not location.ranges:
                continue
            where = location.ranges[0]
            path = source.infos[location.sourceIndex].filename
            for each in self._by_path.get(path.lower(), []):
                if not each.is_in(where):
                    continue
                if not each.verified:
                    each.line, each.end_line = where.start.line, where.end.line
                    each.column, each.end_column = where.start.character, where.end.character
                    each.verified, each.reason, each.path = True, "", path
                    changed(each.message())
                return each
        return None
