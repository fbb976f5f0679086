"""A template's text in parts: what is printed as it is, and the words of each action.

Source: Go `text/template`, its documentation of text, spaces and comments.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from croze.patterns import lazy_pattern


class TemplateError(Exception):
    """A template that can't be read or carried out. The message is Go's where it has one."""


class Word(NamedTuple):
    """One word of an action. `kind` is field, variable, string, char, number, name, or the mark
    itself; `spaced`: white space stands before it, which parts arguments. Columns count from 0."""

    kind: str
    text: str
    spaced: bool
    column: int


class Text(NamedTuple):
    """What is printed as it is."""

    text: str


class Action(NamedTuple):
    """The words between the braces. Lines count from 1."""

    words: tuple[Word, ...]
    line: int


_SPACES = " \t\r\n"
_COMMENT = lazy_pattern(r"/\*.*?\*/", re.DOTALL)
_WORD = lazy_pattern(
    r"""(?P<space>[ \t\r\n]+)
    | (?P<field>\.[A-Za-z_]\w*)
    | (?P<variable>\$\w*)
    | (?P<string>"(?:\\.|[^"\\\n])*" | `[^`]*`)
    | (?P<char>'(?:\\[^\n]|[^'\\\n])+')
    | (?P<number>[+-]?(?:0[xXoObB][0-9a-fA-F_]+ | \d[\d_]*(?:\.\d*)?(?:[eE][+-]?\d+)?
        | \.\d+(?:[eE][+-]?\d+)?))
    | (?P<name>[A-Za-z_]\w*)
    | (?P<mark>:=|[=|(),.])""",
    re.VERBOSE,
)


def parts(text: str) -> Iterator[Text | Action]:
    """The parts of a template, in order. Raises `TemplateError` for braces or words that end
    nowhere."""
    at, trim = 0, False
    while True:
        opened = text.find("{{", at)
        piece = text[at:] if opened < 0 else text[at:opened]
        if trim:
            piece = piece.lstrip(_SPACES)
        if opened < 0:
            yield Text(piece)
            return
        start = opened + 2
        if text[start : start + 1] == "-" and text[start + 1 : start + 2] in tuple(_SPACES):
            piece, start = piece.rstrip(_SPACES), start + 2
        yield Text(piece)
        line = text.count("\n", 0, opened) + 1
        comment = _COMMENT.match(text, start)
        words, at, trim = (
            _comment(text, comment.end(), line) if comment else _words(text, start, line)
        )
        if not comment:
            yield Action(words, line)


def _comment(text: str, at: int, line: int) -> tuple[tuple[Word, ...], int, bool]:
    end = _end(text, at)
    if end is None:
        raise error(line, "comment ends before closing delimiter")
    return (), *end


def _words(text: str, at: int, line: int) -> tuple[tuple[Word, ...], int, bool]:
    """The words of an action, the place behind it, and whether it eats the space there."""
    words: list[Word] = []
    spaced = False
    while True:
        if (end := _end(text, at)) is not None:
            return tuple(words), *end
        match = _WORD.match(text, at)
        if match is None or match.lastgroup is None:
            if at >= len(text):
                raise error(line, "unclosed action")
            raise error(line, _unexpected(text[at]))
        at = match.end()
        if match.lastgroup == "space":
            spaced = True
            continue
        kind = match[0] if match.lastgroup == "mark" else match.lastgroup
        column = match.start() - (text.rfind("\n", 0, match.start()) + 1)
        words.append(Word(kind, match[0], spaced, column))
        spaced = False


def _end(text: str, at: int) -> tuple[int, bool] | None:
    """Behind the closing braces, if they stand here."""
    if text.startswith("}}", at):
        return at + 2, False
    trimmed = re.compile(r"[ \t\r\n]+-\}\}").match(text, at)
    return (trimmed.end(), True) if trimmed else None


def _unexpected(char: str) -> str:
    if char in '"`':
        return "unterminated quoted string" if char == '"' else "unterminated raw quoted string"
    if char == "'":
        return "unterminated character constant"
    return f"unexpected {char!r} in command"


def error(line: int, message: str) -> TemplateError:
    return TemplateError(f"template: :{line}: {message}")
