"""`format` and `formatlist`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from msgspec import Struct

from croze.bake.functions.format_verbs import Verb, formatted
from croze.bake.functions.support import function, parameter, text
from croze.bake.hcl.function import ArgumentError, CallError, Function
from croze.bake.values.types import LIST_OF_STRING, STRING
from croze.bake.values.value import Value, list_value, string, unknown_of
from croze.gotypes.quote import quote, quote_char

_FLAGS: Final = "0#-+ "
_LONGEST_NUMBER: Final = 7


class _Indexed(Struct, frozen=True):
    verb: Verb
    index: int


class _Format:
    """A format text, read from left to right."""

    def __init__(self, template: str) -> None:
        self.given = template
        self.at = 0

    def peek(self) -> str:
        return self.given[self.at : self.at + 1]

    def offset(self, at: int) -> int:
        """Messages count bytes."""
        return len(self.given[:at].encode())

    def pieces(self) -> Iterator[str | _Indexed]:
        following = 1
        while self.at < len(self.given):
            percent = self.given.find("%", self.at)
            if percent < 0:
                yield self.given[self.at :]
                return
            yield self.given[self.at : percent]
            self.at = percent + 1
            if self.peek() == "%":
                self.at += 1
                yield "%"
            else:
                verb = self.verb(percent, following)
                yield verb
                following = verb.index + 1

    def verb(self, start: int, following: int) -> _Indexed:
        flags = self.take(_FLAGS)
        width = self.number() if self.peek().isdecimal() else None
        precision: int | None = None
        if self.peek() == ".":
            self.at += 1
            precision = int(self.take("0123456789")[:_LONGEST_NUMBER] or 0)
        index = following
        if self.peek() == "[":
            self.at += 1
            index = self.number()
            self.expect("]")
        mode = self.peek()
        if not (mode.isascii() and mode.isalpha()):
            raise self.unexpected()
        self.at += 1
        raw = self.given[start : self.at]
        return _Indexed(Verb(raw, self.offset(start), flags, width, precision, mode), index)

    def take(self, allowed: str) -> str:
        start = self.at
        while self.peek() and self.peek() in allowed:
            self.at += 1
        return self.given[start : self.at]

    def number(self) -> int:
        if not self.peek() or self.peek() not in "123456789":
            raise self.unexpected()
        return int(self.take("0123456789")[:_LONGEST_NUMBER])

    def expect(self, char: str) -> None:
        if self.peek() != char:
            raise self.unexpected()
        self.at += 1

    def unexpected(self) -> CallError:
        offset = self.offset(self.at)
        if not self.peek():
            return CallError(f"invalid format string starting at offset {offset}")
        return CallError(
            f"unrecognized format character {quote_char(self.peek())} at offset {offset}"
        )


def format_values(template: str, args: Sequence[Value]) -> str:
    """The format with the values in it; all of them must be used."""
    out: list[str] = []
    highest = 0
    for piece in _Format(template).pieces():
        if isinstance(piece, str):
            out.append(piece)
            continue
        if piece.index > len(args):
            where = f"{quote(piece.verb.raw)} at {piece.verb.offset}"
            need = f"need index {piece.index} but have {len(args)} total"
            raise CallError(f"not enough arguments for {where}: {need}")
        out.append(formatted(piece.verb, args[piece.index - 1]))
        highest = max(highest, piece.index)
    if highest < len(args):
        used = f"only {highest} used by format string" if highest else "no verbs in format string"
        raise ArgumentError(highest + 1, f"too many arguments; {used}")
    return "".join(out)


def _format(args: Sequence[Value]) -> Value:
    if not all(each.is_wholly_known for each in args[1:]):
        return unknown_of(STRING)
    return string(format_values(args[0].text, args[1:]))


def _format_list(args: Sequence[Value]) -> Value:
    template, values = args[0].text, args[1:]
    if not all(each.is_wholly_known for each in values):
        return unknown_of(LIST_OF_STRING)
    size = _common_length(values)
    out: list[Value] = []
    for row in range(1 if size is None else size):
        fields = [each.items[row] if _is_list(each) else each for each in values]
        try:
            out.append(string(format_values(template, fields)))
        except CallError as error:
            if not values:
                raise
            raise CallError(f"error on format iteration {row}: {error}") from None
    return list_value(out, STRING)


def _is_list(value: Value) -> bool:
    return value.is_sequence and not value.is_null


def _common_length(values: Sequence[Value]) -> int | None:
    """How long the lists among the values are; None without any."""
    size: int | None = None
    chooser = 0
    for index, each in enumerate(values, 1):
        if not _is_list(each):
            continue
        if size is None:
            size, chooser = len(each.items), index
        elif len(each.items) != size:
            detail = f"argument {index} has length {len(each.items)}, which is inconsistent with "
            raise ArgumentError(index, f"{detail}argument {chooser} of length {size}")
    return size


_ARGS = parameter("args", null=True, unknown=True)

FUNCTIONS: Final[Mapping[str, Function]] = {
    "format": function(_format, text("format"), returns=STRING, variadic=_ARGS),
    "formatlist": function(_format_list, text("format"), returns=LIST_OF_STRING, variadic=_ARGS),
}
