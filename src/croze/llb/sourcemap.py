"""Where in a text an op comes from: kept beside the definition, for error messages."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from croze.api import ops_pb2
from croze.errors import Position, Range
from croze.gotypes.strings import shown
from croze.llb.marshal import op_blobs


class SourceMap(Struct, frozen=True, eq=False):
    """A text that ops were made from. `language` is a name from GitHub's linguist."""

    filename: str
    data: bytes
    language: str = ""
    definition: ops_pb2.Definition | None = None
    """How to get the text itself."""

    def at(self, *ranges: Range) -> SourceLocation:
        """A location in this text."""
        return SourceLocation(self, ranges)

    def info(self) -> ops_pb2.SourceInfo:
        """The text as `pb.SourceInfo`."""
        return ops_pb2.SourceInfo(
            filename=shown(self.filename),
            data=self.data,
            language=self.language,
            definition=self.definition,
        )

    def same_text(self, other: SourceMap) -> bool:
        """Whether two maps speak of the same text, so that one entry serves both."""
        if self is other:
            return True
        if (self.filename, self.language) != (other.filename, other.language):
            return False
        return self.data == other.data and self._same_origin(other)

    def _same_origin(self, other: SourceMap) -> bool:
        if self.definition is None or other.definition is None:
            return True
        return op_blobs(self.definition)[-1:] == op_blobs(other.definition)[-1:]


class SourceLocation(Struct, frozen=True, eq=False):
    """Places in a text."""

    source: SourceMap
    ranges: Sequence[Range] = ()


class SourceCollector:
    """Gathers the locations of ops as they are marshalled."""

    def __init__(self) -> None:
        self._maps: list[SourceMap] = []
        self._index: dict[int, int] = {}
        self._message = ops_pb2.Source()

    def add(self, digest: str, locations: Sequence[SourceLocation]) -> None:
        """Remember locations of an op; every op has an entry, if an empty one."""
        entry = self._message.locations[digest]
        for location in locations:
            entry.locations.append(
                ops_pb2.Location(
                    sourceIndex=self._source_index(location.source),
                    ranges=[_range(r) for r in location.ranges],
                )
            )

    def finish(self) -> ops_pb2.Source:
        self._message.infos.extend(m.info() for m in self._maps)
        return self._message

    def _source_index(self, source: SourceMap) -> int:
        number = self._index.get(id(source))
        if number is None:
            number = next((i for i, m in enumerate(self._maps) if m.same_text(source)), -1)
            if number < 0:
                number = len(self._maps)
                self._maps.append(source)
            self._index[id(source)] = number
        return number


def _range(range: Range) -> ops_pb2.Range:
    return ops_pb2.Range(start=_position(range.start), end=_position(range.end))


def _position(position: Position) -> ops_pb2.Position:
    return ops_pb2.Position(line=position.line, character=position.character)


def range_from_pb(message: ops_pb2.Range) -> Range:
    """The value of a wire range."""
    start, end = message.start, message.end
    return Range(Position(start.line, start.character), Position(end.line, end.character))
