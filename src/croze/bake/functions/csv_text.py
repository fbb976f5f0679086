"""Comma-separated values, as Go's encoding/csv reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from croze.bake.functions.support import function, text
from croze.bake.hcl.function import CallError, Function
from croze.bake.values.types import STRING, object_of
from croze.bake.values.value import Value, list_value, object_value, string
from croze.gotypes.quote import quote


class _CsvReader:
    """Records, one by one; blank lines are none."""

    def __init__(self, text: str) -> None:
        self.lines = text.replace("\r\n", "\n").splitlines(keepends=True)
        self.at = 0

    def record(self) -> list[str] | None:
        while self.at < len(self.lines) and self.lines[self.at] == "\n":
            self.at += 1
        if self.at >= len(self.lines):
            return None
        fields: list[str] = []
        line = self.next_line()
        while True:
            if line.startswith('"'):
                field, line, ended = self.quoted(line[1:])
            else:
                field, comma, line = line.partition(",")
                ended = not comma
                if '"' in field:
                    raise self.error('bare " in non-quoted-field')
            fields.append(field)
            if ended:
                return fields

    def next_line(self) -> str:
        line = self.lines[self.at]
        self.at += 1
        return line.removesuffix("\n")

    def error(self, text: str) -> CallError:
        return CallError(f"CSV parse error on line {self.at}: {text}")

    def quoted(self, line: str) -> tuple[str, str, bool]:
        """A quoted field from behind its first quote: its text, what follows, and whether nothing
        does."""
        out: list[str] = []
        while True:
            piece, quote_mark, rest = line.partition('"')
            out.append(piece)
            if not quote_mark:
                if self.at >= len(self.lines):
                    raise self.error('extraneous or missing " in quoted-field')
                out.append("\n")
                line = self.next_line()
            elif rest.startswith('"'):
                out.append('"')
                line = rest[1:]
            elif rest.startswith(",") or not rest:
                return "".join(out), rest[1:], not rest
            else:
                raise self.error('extraneous or missing " in quoted-field')


def _csv_decode(args: Sequence[Value]) -> Value:
    reader = _CsvReader(args[0].text)
    headers = reader.record()
    if headers is None:
        raise CallError("missing header line")
    for index, name in enumerate(headers):
        if name in headers[:index]:
            raise CallError(f"duplicate column name {quote(name)}")
    rows: list[Value] = []
    while (fields := reader.record()) is not None:
        if len(fields) != len(headers):
            raise reader.error("wrong number of fields")
        pairs = zip(headers, fields, strict=True)
        rows.append(object_value({name: string(field) for name, field in pairs}))
    return list_value(rows, object_of(dict.fromkeys(headers, STRING)))


FUNCTIONS: Final[Mapping[str, Function]] = {"csvdecode": function(_csv_decode, text("str"))}
