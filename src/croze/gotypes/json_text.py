"""The text of JSON (RFC 8259), with the messages of Go's `encoding/json` for what is not JSON.

Python's own reader takes more than there is in JSON, and its messages tell other things.
"""

from __future__ import annotations

import json
import re
from typing import Final, NoReturn, TypeAlias

from croze.gotypes.quote import quote_char

MAX_DEPTH: Final = 200
_SPACE: Final = re.compile(r"[ \t\r\n]*")
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_UNFINISHED_NUMBER: Final = re.compile(r"-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?(?:[eE][+-]?)?)?")
_PLAIN: Final = re.compile('[^"\\\\\x00-\x1f]*')
_ESCAPES: Final = {
    '"': '"',
    "\\": "\\",
    "/": "/",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
}
_WORDS: Final = {"t": ("true", True), "f": ("false", False), "n": ("null", None)}
_VALUE: Final = " looking for beginning of value"
_KEY: Final = " looking for beginning of object key string"
_CUT_OFF: Final = "unexpected end of JSON input"


class JsonSyntaxError(Exception):
    """The text is not JSON."""


class JsonNumber(str):
    """A number as it was written."""

    __slots__ = ()


class JsonMembers:
    """The members of an object, repeated names and all."""

    def __init__(self, pairs: list[tuple[str, Parsed]]) -> None:
        self.pairs = pairs


Parsed: TypeAlias = "bool | str | JsonNumber | list[Parsed] | JsonMembers | None"


def read_json(text: str, *, stream: bool) -> Parsed:
    """One value. `stream`: in the words for a stream of tokens, and not those for a whole text;
    a bracket too many at the end goes unnoticed there, too."""
    reader = _JsonReader(text, stream)
    parsed = reader.value(0, _VALUE)
    reader.end()
    return parsed


def syntax_error(data: bytes | str) -> str:
    """What Go says of text that is not JSON; empty for text that is."""
    try:
        read_json(data if isinstance(data, str) else data.decode("utf-8", "replace"), stream=False)
    except JsonSyntaxError as error:
        return str(error)
    return ""


def first_value(text: str) -> object:
    """What a stream begins with, as plain values: whatever comes after it is not looked at (Go's
    `Decoder.Decode`). Raises `JsonSyntaxError`."""
    start = _SPACE.match(text)
    try:
        return _DECODER.raw_decode(text, start.end() if start else 0)[0]
    except (ValueError, RecursionError):
        why = syntax_error(text)
    if why == _CUT_OFF:
        why = "unexpected EOF" if text.strip(" \t\r\n") else "EOF"
    raise JsonSyntaxError(why)


def _no_number(word: str) -> NoReturn:
    raise ValueError(word)


_DECODER: Final = json.JSONDecoder(parse_constant=_no_number)


class _JsonReader:
    def __init__(self, text: str, stream: bool) -> None:
        self.text = text
        self.stream = stream
        self.at = 0

    def peek(self) -> str:
        """The next character that is no space; empty at the end."""
        space = _SPACE.match(self.text, self.at)
        self.at = space.end() if space else self.at
        return self.text[self.at : self.at + 1]

    def fail(self, where: str) -> NoReturn:
        char = self.text[self.at : self.at + 1]
        if char:
            first = chr(char.encode("utf-8", "surrogatepass")[0])  # Go's readers go by bytes
            raise JsonSyntaxError(f"invalid character {quote_char(first)}{where}")
        raise JsonSyntaxError("EOF" if self.stream else _CUT_OFF)

    def cut_off(self) -> NoReturn:
        """The text ends within a word, a number or a string."""
        raise JsonSyntaxError("unexpected EOF" if self.stream else _CUT_OFF)

    def end(self) -> None:
        char = self.peek()
        if char and not self.stream:
            self.fail(" after top-level value")
        if char and char not in "]}":
            raise JsonSyntaxError("extraneous data after JSON object")

    def value(self, depth: int, where: str) -> Parsed:
        char = self.peek()
        if depth > MAX_DEPTH:
            raise JsonSyntaxError("exceeded max depth")
        match char:
            case "{":
                return self.members(depth + 1)
            case "[":
                return self.items(depth + 1)
            case '"':
                return self.string()
            case "t" | "f" | "n":
                return self.word(char)
        if char and char in "-0123456789":
            return self.number()
        self.fail(where)

    def items(self, depth: int) -> list[Parsed]:
        self.at += 1
        items: list[Parsed] = []
        if self.peek() == "]":
            self.at += 1
            return items
        while True:
            items.append(self.value(depth, _VALUE))
            char = self.peek()
            if char not in (",", "]"):
                self.fail(" after array element")
            self.at += 1
            if char == "]":
                return items

    def members(self, depth: int) -> JsonMembers:
        self.at += 1
        pairs: list[tuple[str, Parsed]] = []
        if self.peek() == "}":
            self.at += 1
            return JsonMembers(pairs)
        where = "" if self.stream else _KEY
        while True:
            if self.peek() != '"':
                self.fail(where)
            name = self.string()
            if self.peek() != ":":
                self.fail(" after object key")
            self.at += 1
            pairs.append((name, self.value(depth, _VALUE)))
            char = self.peek()
            if char not in (",", "}"):
                self.fail(" after object key:value pair")
            self.at += 1
            if char == "}":
                return JsonMembers(pairs)
            where = _KEY

    def word(self, first: str) -> bool | None:
        word, meaning = _WORDS[first]
        for expected in word:
            if self.at >= len(self.text):
                self.cut_off()
            if self.text[self.at] != expected:
                self.fail(f" in literal {word} (expecting {quote_char(expected)})")
            self.at += 1
        return meaning

    def number(self) -> JsonNumber:
        whole = _NUMBER.match(self.text, self.at)
        start = _UNFINISHED_NUMBER.match(self.text, self.at)
        end = whole.end() if whole else self.at
        if start is not None and start.end() > end:
            self.at = start.end()
            if self.at >= len(self.text):
                self.cut_off()
            self.fail(_in_number(start[0]))
        digits = self.text[self.at : end]
        self.at = end
        return JsonNumber(digits)

    def string(self) -> str:
        self.at += 1
        pieces: list[str] = []
        while True:
            plain = _PLAIN.match(self.text, self.at)
            if plain is not None:
                pieces.append(plain[0])
                self.at = plain.end()
            if self.at >= len(self.text):
                self.cut_off()
            char = self.text[self.at]
            if char == "\\":
                pieces.append(self.escape())
            elif char == '"':
                self.at += 1
                return _joined("".join(pieces))
            else:
                self.fail(" in string literal")

    def escape(self) -> str:
        self.at += 1
        if self.at >= len(self.text):
            self.cut_off()
        char = self.text[self.at]
        if char == "u":
            return self.code_unit()
        if char not in _ESCAPES:
            self.fail(" in string escape code")
        self.at += 1
        return _ESCAPES[char]

    def code_unit(self) -> str:
        self.at += 1
        digits = self.text[self.at : self.at + 4]
        for digit in digits:
            if digit not in "0123456789abcdefABCDEF":
                self.fail(" in \\u hexadecimal character escape")
            self.at += 1
        if len(digits) < 4:
            self.cut_off()
        return chr(int(digits, 16))


def _in_number(start: str) -> str:
    if start.endswith("-") and len(start) == 1:
        return " in numeric literal"
    if start.endswith("."):
        return " after decimal point in numeric literal"
    return " in exponent of numeric literal"


def _joined(text: str) -> str:
    """Halves of characters put together; U+FFFD for those without the other half."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
