"""The functions of templates: Go's own, and those that the Docker CLI adds.

Source: Go `text/template` (functions), docker/cli `templates/templates.go`.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import quote_plus

import msgspec

from croze.gotypes.letters import to_lower, to_upper
from croze.gotypes.strings import from_bytes, to_bytes
from croze.gotypes.template.lexer import TemplateError
from croze.gotypes.template.printf import printf
from croze.gotypes.template.values import Fields, equal, is_true, order, shown, type_name
from croze.patterns import lazy_pattern

Function = Callable[..., object]


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TemplateError(f"wrong type for value; expected string; got {type_name(value)}")
    return value


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TemplateError(f"wrong type for value; expected int; got {type_name(value)}")
    return value


def _index(value: object, *keys: object) -> object:
    for key in keys:
        if isinstance(value, Mapping):
            value = value.get(key)
        elif isinstance(value, Sequence):
            at = _whole(key)
            if not 0 <= at < len(value):
                raise TemplateError(f"error calling index: index out of range: {at}")
            value = value[at]
        else:
            raise TemplateError(f"error calling index: can't index item of type {type_name(value)}")
    return value


def _slice(value: object, *bounds: object) -> object:
    if not isinstance(value, str | list | tuple):
        raise TemplateError(f"error calling slice: can't slice item of type {type_name(value)}")
    start = _whole(bounds[0]) if bounds else 0
    end = _whole(bounds[1]) if len(bounds) > 1 else len(value)
    if not 0 <= start <= end <= len(value):
        raise TemplateError(f"error calling slice: index out of range: {end}")
    return value[start:end]


def _len(value: object) -> int:
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, Mapping | Sequence):
        return len(value)
    raise TemplateError(f"error calling len: len of type {type_name(value)}")


def _eq(first: object, *others: object) -> bool:
    if not others:
        raise TemplateError("error calling eq: missing argument for comparison")
    return any(equal(first, other) for other in others)


def _print(*values: object) -> str:
    """Spaces between values of which neither is a text."""
    out: list[str] = []
    for at, value in enumerate(values):
        if at and not isinstance(value, str) and not isinstance(values[at - 1], str):
            out.append(" ")
        out.append(shown(value, top=False))
    return "".join(out)


def _println(*values: object) -> str:
    return " ".join(shown(value, top=False) for value in values) + "\n"


def _json(value: object) -> str:
    """Compact, `<`, `>` and `&` as they are; a map's keys in order, a struct's as they stand."""
    return msgspec.json.encode(in_order(value)).decode()


def in_order(value: object) -> object:
    """A value in the order of Go's JSON: the keys of a map sorted, the members of a struct as they
    stand."""
    if isinstance(value, Fields) and value.members is not None:
        return {key: in_order(one) for key, one in value.members.items()}
    if isinstance(value, Mapping):
        keys = value if isinstance(value, Fields) else sorted(value)
        return {key: in_order(value[key]) for key in keys}
    if isinstance(value, list | tuple):
        return [in_order(one) for one in value]
    return value


def _pad(text: object, before: object, after: object) -> str:
    """Spaces around a text that is not empty."""
    inner = _text(text)
    return " " * _whole(before) + inner + " " * _whole(after) if inner else ""


def _truncate(text: object, length: object) -> str:
    """The first bytes of a text."""
    return from_bytes(to_bytes(_text(text))[: _whole(length)])


_WORD = lazy_pattern(r"(?<![\w])\w")


def _title(text: object) -> str:
    return _WORD.sub(lambda first: to_upper(first[0]), _text(text))


def _join(items: object, by: object) -> str:
    """A list's items, or a map's values in order."""
    separator = _text(by)
    if items is None:
        return ""
    if isinstance(items, Mapping) and not isinstance(items, Fields):
        return separator.join(sorted(shown(each, top=False) for each in items.values()))
    if not isinstance(items, list | tuple):
        raise TemplateError(f"error calling join: expected slice, got {type_name(items)}")
    return separator.join(shown(each, top=False) for each in items)


def _html(*values: object) -> str:
    escaped = html.escape(_print(*values)).replace("&#x27;", "&#39;").replace("&quot;", "&#34;")
    return escaped.replace("\0", "\ufffd")


_IN_SCRIPTS = {"\\": r"\\", "'": r"\'", '"': r"\"", "<": r"\u003C", ">": r"\u003E"}
_IN_SCRIPTS |= {"&": r"\u0026", "=": r"\u003D"}


def _script(*values: object) -> str:
    return "".join(map(_in_script, _print(*values)))


def _in_script(char: str) -> str:
    plain = char.isprintable() or (char == " ")
    return _IN_SCRIPTS.get(char, char if plain else f"\\u{ord(char):04X}")


FUNCTIONS: Mapping[str, Function] = {
    "eq": _eq,
    "ne": lambda one, other: not equal(one, other),
    "lt": lambda one, other: order(one, other) < 0,
    "le": lambda one, other: order(one, other) <= 0,
    "gt": lambda one, other: order(one, other) > 0,
    "ge": lambda one, other: order(one, other) >= 0,
    "not": lambda value: not is_true(value),
    "len": _len,
    "index": _index,
    "slice": _slice,
    "print": _print,
    "println": _println,
    "printf": lambda text, *values: printf(_text(text), values),
    "html": _html,
    "js": _script,
    "urlquery": lambda *values: quote_plus(_print(*values)),
    "json": _json,
    "split": lambda text, by: _text(text).split(_text(by)),
    "join": _join,
    "title": _title,
    "lower": lambda text: to_lower(_text(text)),
    "upper": lambda text: to_upper(_text(text)),
    "pad": _pad,
    "truncate": _truncate,
}
"""By name. `and` and `or` are the evaluator's: they stop at the first value that decides."""

HEADINGS: Mapping[str, Function] = {
    "split": lambda text, _: text,
    "join": lambda text, _: text,
    "truncate": lambda text, _: text,
    **dict.fromkeys(("json", "title", "lower", "upper"), lambda text: text),
}
"""What these are for the headings of a table, which stay as they are."""
