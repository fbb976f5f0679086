"""JSON as Go's decoder reads it, and what it says of text that is none."""

from __future__ import annotations

import json
import math
import re
from typing import NoReturn

from croze.gotypes.quote import quote_char
from croze.gotypes.strings import shown


class NotStrings(ValueError):
    """A JSON array with members that are not strings."""


def load(text: str) -> object | None:
    """The value, or None if it is not valid JSON (or null)."""
    try:
        value: object = _DECODER.decode(text)
    except (ValueError, RecursionError):
        return None
    return value


def string_array(text: str) -> tuple[str, ...] | None:
    """The strings of a JSON array; None if the text isn't one. Raises `NotStrings`."""
    if not text.startswith("["):
        return None
    value = load(text)
    if not isinstance(value, list):
        return None
    if not all(isinstance(item, str) for item in value):
        raise NotStrings
    return tuple(shown(item) for item in value)


def _refuse(name: str) -> NoReturn:
    raise ValueError(name)


def _float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        _refuse(text)
    return value


# Numbers are only looked at, never used; as floats they can't be too long to parse.
_DECODER = json.JSONDecoder(parse_constant=_refuse, parse_float=_float, parse_int=_float)


_WHERE = {
    "Expecting property name enclosed in double quotes": (
        "looking for beginning of object key string"
    ),
    "Expecting value": "looking for beginning of value",
    "Expecting ':' delimiter": "after object key",
    "Extra data": "after top-level value",
    "Invalid control character at": "in string literal",
}
_CONSTANTS = ("true", "false", "null")


def syntax_error(data: bytes | str) -> str:
    """Go's message for JSON that can't be read; empty if that is not the trouble."""
    try:
        _DECODER.decode(data if isinstance(data, str) else data.decode())
    except json.JSONDecodeError as err:
        return _explain(err.doc, err.pos, err.msg)
    except ValueError:
        return "invalid UTF-8 in JSON"
    except RecursionError:
        return "exceeded max depth"
    return ""


def _explain(text: str, at: int, problem: str) -> str:
    end = "unexpected end of JSON input"
    rest = text[at:]
    if not rest.strip() or problem.startswith("Unterminated string"):
        return end
    if problem == "Expecting ',' delimiter":
        inside = _innermost(text[:at])
        where = "after array element" if inside == "[" else "after object key:value pair"
        return f"invalid character {quote_char(rest[0])} {where}"
    for word in _CONSTANTS:
        if problem == "Expecting value" and rest[0] == word[0]:
            matched = next(n for n in range(len(word), 0, -1) if rest.startswith(word[:n]))
            wrong = rest[matched : matched + 1]
            place = f"in literal {word} (expecting {quote_char(word[matched])})"
            return f"invalid character {quote_char(wrong)} {place}" if wrong else end
    return f"invalid character {quote_char(rest[0])} {_WHERE.get(problem, 'in literal')}"


def _innermost(text: str) -> str:
    """The bracket that is open at the end of a text."""
    opened: list[str] = []
    for mark in re.findall(r'"(?:[^"\\]|\\.)*"|[][{}]', text):
        if mark in "[{":
            opened.append(mark)
        elif mark in "]}":
            opened.pop()
    return opened[-1] if opened else ""


def kind(value: object) -> str:
    """What Go's decoder calls a value that it can't store."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"
