"""Values of JSON files, as expressions: strings are templates, objects have templates as keys."""

from __future__ import annotations

import msgspec

from croze.bake.hcl.source import Diagnostic, Pos, SourceRange
from croze.bake.hcl.syntax import Expression, Opened, Whole


class JsonString(Whole):
    text: str
    range: SourceRange
    template: Expression | None = None
    problems: list[Diagnostic] = msgspec.field(default_factory=list)

    @property
    def inner_start(self) -> Pos:
        """The place at which the string's template begins: behind the quote."""
        start = self.range.start
        return Pos(start.line, start.column + 1, start.offset + 1)


class JsonArray(Opened):
    items: list[Expression]
    range: SourceRange
    open_range: SourceRange


class JsonMember(msgspec.Struct):
    key: JsonString
    value: Expression

    @property
    def name(self) -> str:
        return self.key.text

    @property
    def name_range(self) -> SourceRange:
        return self.key.range

    @property
    def range(self) -> SourceRange:
        return self.name_range.to(self.value.range)


class JsonObject(Opened):
    members: list[JsonMember]
    range: SourceRange
    open_range: SourceRange
    close_range: SourceRange
