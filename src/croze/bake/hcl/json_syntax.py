"""Values of JSON files, as expressions: strings are templates, objects have templates as keys."""

from __future__ import annotations

import msgspec

from croze.bake.hcl.source import Diagnostic, Pos, Range
from croze.bake.hcl.syntax import Expression, Opened, Whole


class JsonString(Whole):
    text: str
    range: Range
    template: Expression | None = None
    problems: list[Diagnostic] = msgspec.field(default_factory=list)

    @property
    def inner_start(self) -> Pos:
        """Where the template begins: behind the quote."""
        start = self.range.start
        return Pos(start.line, start.column + 1, start.offset + 1)


class JsonArray(Opened):
    items: list[Expression]
    range: Range
    open_range: Range


class JsonMember(msgspec.Struct):
    key: JsonString
    value: Expression

    @property
    def name(self) -> str:
        return self.key.text

    @property
    def name_range(self) -> Range:
        return self.key.range

    @property
    def range(self) -> Range:
        return self.name_range.to(self.value.range)


class JsonObject(Opened):
    members: list[JsonMember]
    range: Range
    open_range: Range
    close_range: Range
