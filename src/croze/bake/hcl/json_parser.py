"""Parsing JSON files.

The standard library's parser knows no source ranges and stops at the first error with a message of
its own; HCL's messages are the interface.
"""

from __future__ import annotations

import json
import re
from typing import Final

from croze.bake.hcl import tokens as t
from croze.bake.hcl.json_syntax import JsonArray, JsonMember, JsonObject, JsonString
from croze.bake.hcl.json_tokens import JsonToken, tokenize_json
from croze.bake.hcl.source import Diagnostic, HclError, Placed, Pos, SourceRange, did_you_mean
from croze.bake.hcl.syntax import Broken, Expression, Literal
from croze.bake.values import number as numbers
from croze.bake.values.value import FALSE, NULL, TRUE, number
from croze.gotypes.quote import quote

_DEEPEST = 200
_START = "A JSON value must start with a brace, a bracket, a number, a string, or a keyword."
_VALUES = {"true": TRUE, "false": FALSE, "null": NULL}
_JAVASCRIPT = ("undefined", "NaN", "Infinity")
_NO_VALUE = {
    "}": ("Missing JSON value", _START),
    "]": ("Missing array element value", _START),
    t.EOF: ("Missing value", "The JSON data ends prematurely."),
}


_PROPER: Final = re.compile(rb'"(?:[^"\\]|\\["\\/bfnrt]|\\u[0-9A-Fa-f]{4})*')
_ESCAPE: Final = re.compile(rb"\\(?:u[0-9A-Fa-f]{0,3})?")


def _wrong_byte(text: str) -> int:
    """How many bytes of a string Go reads until it knows that it is none: all, if it lacks its
    end."""
    written = text.encode("utf-8", "surrogateescape")
    proper = _PROPER.match(written)
    end = proper.end() if proper else 0
    escape = _ESCAPE.match(written, end)
    return min((escape.end() if escape else end) + 1, len(written))


class _JsonParser:
    def __init__(self, tokens: list[JsonToken]) -> None:
        self.tokens = tokens
        self.at = 0
        self.depth = 0
        self.problems: list[Diagnostic] = []

    def peek(self) -> JsonToken:
        return self.tokens[self.at]

    def read(self) -> JsonToken:
        token = self.tokens[self.at]
        if self.at + 1 < len(self.tokens):
            self.at += 1
        return token

    def problem(self, summary: str, detail: str, subject: SourceRange) -> None:
        self.problems.append(Diagnostic(summary, detail, subject))

    def value(self) -> Expression:
        token = self.peek()
        match token.kind:
            case "{" | "[":
                parsed = self.nested(token)
            case t.NUMBER:
                parsed = self.number()
            case "string":
                parsed = self.string()
            case "keyword":
                parsed = self.keyword()
            case _:
                summary, detail = _NO_VALUE.get(token.kind, ("Invalid start of value", _START))
                self.problem(summary, detail, token.range)
                parsed = None
        return parsed or Broken(self.problems[-1:], token.range)

    def nested(self, token: JsonToken) -> Expression | None:
        self.depth += 1
        if self.depth > _DEEPEST:
            detail = f"Values can be nested at most {_DEEPEST} levels deep."
            self.problem("Value nested too deeply", detail, token.range)
            raise HclError(self.problems)
        parsed = self.object() if token.kind == "{" else self.array()
        self.depth -= 1
        return parsed

    def recover(self, token: JsonToken, opening: str, closing: str) -> None:
        """Skip to behind the bracket that closes what is open."""
        opened = 1
        while token.kind != t.EOF:
            opened += (token.kind == opening) - (token.kind == closing)
            if token.kind == closing and opened <= 1:
                return
            token = self.read()

    def object(self) -> JsonObject | None:
        opening = self.read()
        members: list[JsonMember] = []
        while self.peek().kind != "}":
            name = self.value()
            if not isinstance(name, JsonString):
                detail = "A JSON object property name must be a string"
                self.problem("Invalid object property name", detail, name.start_range)
                return None
            colon = self.read()
            if colon.kind != ":":
                self.no_colon(colon)
                return None
            members.append(JsonMember(name, self.value()))
            if not self.after_member(opening):
                return None
        close = self.read()
        span = opening.range.to(close.range)
        return JsonObject(members, span, opening.range, close.range)

    def no_colon(self, token: JsonToken) -> None:
        self.recover(token, "{", "}")
        if token.kind in ("}", ","):
            detail = "A JSON object attribute must have a value, introduced by a colon."
            self.problem("Missing object value", detail, token.range)
        elif token.kind == "=":
            detail = "JSON uses a colon as its name/value delimiter, not an equals sign."
            self.problem("Missing property value colon", detail, token.range)
        else:
            detail = "A colon must appear between an object property's name and its value."
            self.problem("Missing property value colon", detail, token.range)

    def after_member(self, opening: JsonToken) -> bool:
        following = self.peek()
        if following.kind == "}":
            return True
        if following.kind == ",":
            self.read()
            if self.peek().kind != "}":
                return True
            detail = "JSON does not permit a trailing comma after the final property in an object."
            self.problem("Trailing comma in object", detail, following.range)
        elif following.kind == t.EOF:
            detail = "No closing brace was found for this JSON object."
            self.problem("Unclosed object", detail, opening.range)
        elif following.kind == "]":
            self.read()
            detail = "A JSON object must be closed with a brace, not a bracket."
            self.problem("Mismatched braces", detail, self.peek().range)
        else:
            self.recover(self.read(), "{", "}")
            detail = "A comma must appear between each property definition in an object."
            self.problem("Missing attribute seperator comma", detail, self.peek().range)
        return False

    def array(self) -> JsonArray | None:
        opening = self.read()
        items: list[Expression] = []
        while self.peek().kind != "]":
            items.append(self.value())
            if not self.after_item(opening):
                return None
        close = self.read()
        return JsonArray(items, opening.range.to(close.range), opening.range)

    def after_item(self, opening: JsonToken) -> bool:
        following = self.peek()
        if following.kind == "]":
            return True
        if following.kind == ",":
            self.read()
            if self.peek().kind != "]":
                return True
            detail = "JSON does not permit a trailing comma after the final value in an array."
            self.problem("Trailing comma in array", detail, following.range)
            return False
        self.recover(self.read(), "[", "]")
        if following.kind == t.EOF:
            detail = "No closing bracket was found for this JSON array."
            self.problem("Unclosed object", detail, opening.range)
            return False
        summary, detail = {
            ":": (
                "Invalid array value",
                "A colon is not used to introduce values in a JSON array.",
            ),
            "}": (
                "Mismatched brackets",
                "A JSON array must be closed with a bracket, not a brace.",
            ),
        }.get(
            following.kind,
            (
                "Missing attribute seperator comma",
                "A comma must appear between each value in an array.",
            ),
        )
        self.problem(summary, detail, self.peek().range)
        return False

    def number(self) -> Literal | None:
        token = self.read()
        try:
            json.loads(token.text)
            parsed = numbers.parse(token.text)
        except ValueError:
            parsed = None
        if parsed is None:
            detail = "There is a syntax error in the given JSON number."
            self.problem("Invalid JSON number", detail, token.range)
            return None
        return Literal(number(parsed), token.range)

    def string(self) -> JsonString | None:
        token = self.read()
        try:
            text = json.loads(token.text)
            return JsonString(str(text), token.range)
        except json.JSONDecodeError:
            at = _wrong_byte(token.text)
            start = token.start
            first = Pos(start.line, start.column + at, start.offset + at)
            last = Pos(start.line, start.column + at + 1, start.offset + at + 1)
            detail = "There is a syntax error in the given JSON string."
            self.problem("Invalid JSON string", detail, Placed(token.filename, first, last))
            return None

    def keyword(self) -> Literal | None:
        token = self.read()
        if token.text in _VALUES:
            return Literal(_VALUES[token.text], token.range)
        if token.text in _JAVASCRIPT:
            detail = f"The JavaScript identifier {quote(token.text)} cannot be used in JSON."
        else:
            hint = did_you_mean(token.text, ("false", "true", "null"))
            detail = f"{quote(token.text)} is not a valid JSON keyword.{hint}"
        self.problem("Invalid JSON keyword", detail, token.range)
        return None


def parse_json_file(text: str, filename: str) -> JsonObject | JsonArray:
    """The value of a JSON file; HclError with all that is wrong with it."""
    parser = _JsonParser(tokenize_json(text, filename))
    root = parser.value()
    if not parser.problems and parser.peek().kind != t.EOF:
        detail = "Extra characters appear after the JSON value."
        parser.problem("Extraneous data after value", detail, parser.peek().range)
    if not isinstance(root, JsonObject | JsonArray):
        detail = (
            "The root value in a JSON-based configuration must be either a JSON "
            "object or a JSON array "
            "of objects."
        )
        parser.problem("Root value must be object", detail, root.start_range)
    if parser.problems:
        raise HclError(parser.problems)
    assert isinstance(root, JsonObject | JsonArray)
    return root
