"""Actions become a small tree.

Source: Go `text/template`, its documentation of actions, arguments and pipelines.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from msgspec import Struct, field

from croze.gotypes.template.lexer import Action, TemplateError, Text, Word, error, parts

Constant = str | int | float | bool | None
"""A value that is written in a template; None is `nil`."""


class Field(NamedTuple):
    """The name of a field, and the column it stands in."""

    name: str
    column: int


class Operand(Struct, frozen=True):
    """A value with fields behind it. `base` is a constant's value, a variable's or function's
    name, a pipeline in parentheses, or nothing for the dot."""

    kind: str  # dot, variable, function, constant, pipeline
    base: Constant | Pipeline = None
    fields: tuple[Field, ...] = ()

    @property
    def text(self) -> str:
        """The operand as it was written, for messages."""
        base = "" if self.kind == "dot" else str(self.base)
        return base + "".join(f".{field.name}" for field in self.fields) or "."


class TemplateCommand(Struct, frozen=True):
    """An operand, called with arguments if it is a function."""

    operands: tuple[Operand, ...]


class Pipeline(Struct, frozen=True):
    """Commands, each given the value of the one before. `names` take the result; `declares` tells
    `:=` from `=`."""

    commands: tuple[TemplateCommand, ...]
    names: tuple[str, ...] = ()
    declares: bool = False
    line: int = 1


class TemplateBlock(Struct, frozen=True):
    """A block of `if`, `with` or `range`: what is done once, never, or for each."""

    kind: str
    pipeline: Pipeline
    body: Sequence[Node]
    otherwise: Sequence[Node]


class Jump(Struct, frozen=True):
    """The action `break` or `continue`."""

    kind: str


Node = Text | Pipeline | TemplateBlock | Jump
"""A piece of a template, evaluated in turn."""


class _Cursor(Struct):
    """The words of one action, and how far they are read."""

    words: tuple[Word, ...]
    line: int
    at: int = field(default=0)

    def peek(self) -> Word | None:
        return self.words[self.at] if self.at < len(self.words) else None

    def take(self) -> Word:
        word = self.peek()
        if word is None:
            raise error(self.line, "unexpected end of action")
        self.at += 1
        return word


def parse(text: str) -> Sequence[Node]:
    """The tree of a template's text. Raises `TemplateError`."""
    reader = _Reader(parts(text))
    try:
        body, end = reader.body(in_range=False)
    except RecursionError:
        raise error(1, "max expression depth exceeded") from None
    if end is not None:
        raise error(end.line, f"unexpected {{{{{end.words[0].text}}}}}")
    return body


class _Reader:
    """Reads bodies, one in another, from the parts of a template."""

    def __init__(self, pieces: Iterator[Text | Action]) -> None:
        self._pieces = pieces

    def body(self, *, in_range: bool) -> tuple[list[Node], Action | None]:
        """The nodes up to `end` or `else`, which is returned with them, or up to the end of the
        template."""
        nodes: list[Node] = []
        for piece in self._pieces:
            if isinstance(piece, Text):
                nodes.append(piece)
                continue
            if not piece.words:
                raise error(piece.line, "missing value for command")
            match piece.words[0].text:
                case "end" | "else":
                    return nodes, piece
                case "if" | "with" | "range" as kind:
                    nodes.append(self._block(kind, piece, in_range=in_range or kind == "range"))
                case "break" | "continue" as kind:
                    if not in_range:
                        raise error(piece.line, f"{{{{{kind}}}}} outside {{{{range}}}}")
                    nodes.append(Jump(kind))
                case "define" | "template" | "block" as kind:
                    raise error(piece.line, f"{{{{{kind}}}}} is not supported in a format")
                case _:
                    nodes.append(_pipeline(_Cursor(piece.words, piece.line)))
        return nodes, None

    def _block(self, kind: str, action: Action, *, in_range: bool) -> TemplateBlock:
        head = _pipeline(_Cursor(action.words[1:], action.line), in_head=True)
        body, end = self.body(in_range=in_range)
        otherwise: Sequence[Node] = ()
        if end is not None and end.words[0].text == "else":
            if len(end.words) > 1:
                nested = Action(end.words[1:], end.line)
                if kind == "range" or nested.words[0].text != kind:
                    raise error(end.line, f"unexpected {nested.words[0].text} in else")
                return TemplateBlock(
                    kind, head, body, (self._block(kind, nested, in_range=in_range),)
                )
            otherwise, end = self.body(in_range=in_range)
        if end is None:
            raise error(action.line, "unexpected EOF")
        if end.words[0].text != "end":
            raise error(end.line, "expected end; found {{else}}")
        return TemplateBlock(kind, head, body, otherwise)


def _pipeline(cursor: _Cursor, *, in_head: bool = False, nested: bool = False) -> Pipeline:
    names, declares = _declaration(cursor)
    commands = [_command(cursor)]
    while (word := cursor.peek()) is not None and word.kind == "|":
        cursor.take()
        commands.append(_command(cursor))
    if not nested and cursor.peek() is not None:
        raise error(cursor.line, f"unexpected <{cursor.take().text}> in command")
    if len(names) > 1 and not in_head:
        raise error(cursor.line, "too many declarations in command")
    return Pipeline(tuple(commands), names, declares, cursor.line)


def _declaration(cursor: _Cursor) -> tuple[tuple[str, ...], bool]:
    """`$x :=`, `$x =` or `$i, $x :=` in front; nothing is taken if it is none."""
    start, names = cursor.at, []
    while (word := cursor.peek()) is not None and word.kind == "variable":
        names.append(cursor.take().text)
        mark = cursor.peek()
        if mark is not None and mark.kind in (":=", "="):
            return tuple(names), cursor.take().kind == ":="
        if mark is None or mark.kind != ",":
            break
        cursor.take()
    cursor.at = start
    return (), False


def _command(cursor: _Cursor) -> TemplateCommand:
    operands: list[Operand] = []
    while (word := cursor.peek()) is not None and word.kind not in ("|", ")"):
        operands.append(_operand(cursor))
    if not operands:
        raise error(cursor.line, "missing value for command")
    if len(operands) > 1 and operands[0].kind in ("constant", "pipeline"):
        raise error(cursor.line, f"can't give argument to non-function {operands[0].base}")
    return TemplateCommand(tuple(operands))


def _operand(cursor: _Cursor) -> Operand:
    word = cursor.take()
    match word.kind:
        case ".":
            operand = Operand("dot")
        case "field":
            operand = Operand("dot", fields=(Field(word.text[1:], word.column),))
        case "variable":
            operand = Operand("variable", word.text)
        case "(":
            inner = _pipeline(cursor, nested=True)
            if cursor.peek() is None or cursor.take().kind != ")":
                raise error(cursor.line, "unclosed left paren")
            operand = Operand("pipeline", inner)
        case "name" if word.text not in ("true", "false", "nil"):
            operand = Operand("function", word.text)
        case "name" | "string" | "char" | "number":
            operand = Operand("constant", _constant(word, cursor.line))
        case _:
            raise error(cursor.line, f"unexpected {word.text!r} in operand")
    return _with_fields(operand, cursor)


def _with_fields(operand: Operand, cursor: _Cursor) -> Operand:
    """`.A.B` right behind it, with no space between."""
    fields = list(operand.fields)
    while (word := cursor.peek()) is not None and word.kind == "field" and not word.spaced:
        cursor.take()
        fields.append(Field(word.text[1:], word.column))
    return Operand(operand.kind, operand.base, tuple(fields))


_NAMED: dict[str, Constant] = {"true": True, "false": False, "nil": None}


def _constant(word: Word, line: int) -> Constant:
    if word.kind == "name":
        return _NAMED[word.text]
    if word.text.startswith("`"):
        return word.text[1:-1]
    try:
        if word.kind == "number":
            text = word.text.replace("_", "")
            return float(text) if set(text) & set(".eE") and "x" not in text else int(text, 0)
        value = ast.literal_eval(word.text)
    except (ValueError, SyntaxError):
        raise error(line, f"bad syntax: {word.text}") from None
    if word.kind == "char":
        return ord(value)
    return str(value)


__all__ = [
    "Constant",
    "Jump",
    "Node",
    "Operand",
    "Pipeline",
    "TemplateBlock",
    "TemplateCommand",
    "TemplateError",
    "Text",
    "parse",
]
