"""Texts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from croze.gotypes.strings import SPACE
from croze.gotypes.template.lexer import TemplateError
from croze.gotypes.template.printf import printf
from croze.rego.builtins.operands import array, integer, items, obj, small, string, strings
from croze.rego.errors import FunctionError
from croze.rego.values import Value, boolean, in_order, text, to_plain

_WIDEST: Final = 10_000
"""Characters that a policy may have a value padded to."""


def on_text(function: Callable[[str], str]) -> Callable[[Value], Value]:
    return lambda value: function(string(value))


def on_texts(function: Callable[[str, str], Value]) -> Callable[[Value, Value], Value]:
    return lambda left, right: function(string(left), string(right))


def _listed(value: Value) -> list[str]:
    return [value] if isinstance(value, str) else strings(value)


def any_prefix(texts: Value, prefixes: Value) -> Value:
    listed = tuple(_listed(prefixes))
    return boolean(any(each.startswith(listed) for each in _listed(texts)))


def any_suffix(texts: Value, suffixes: Value) -> Value:
    listed = tuple(_listed(suffixes))
    return boolean(any(each.endswith(listed) for each in _listed(texts)))


def concat(by: Value, parts: Value) -> Value:
    pieces = items(parts)
    texts = strings(tuple(in_order(pieces)) if isinstance(pieces, frozenset) else pieces)
    small(sum(map(len, texts)) + len(texts) * len(string(by)))
    return string(by).join(texts)


def index_of(text: str, part: str) -> Value:
    return text.find(_not_empty(part))


def index_of_all(text: str, part: str) -> Value:
    _not_empty(part)
    return tuple(at for at in range(len(text)) if text.startswith(part, at))


def _not_empty(part: str) -> str:
    if not part:
        raise FunctionError("empty search character")
    return part


def substring(value: Value, begin: Value, length: Value) -> Value:
    """The part of a text from `begin` on, to its end if the length is negative."""
    text, first, count = string(value), integer(begin), integer(length)
    if first < 0:
        raise FunctionError("negative offset")
    return text[first:] if count < 0 else text[first : first + count]


def split(text: str, by: str) -> Value:
    return tuple(text.split(by) if by else text)


def count_of(text: str, part: str) -> Value:
    return text.count(part)


def replace(value: Value, old: Value, new: Value) -> Value:
    return _replaced(string(value), [(string(old), string(new))])


def replace_n(patterns: Value, value: Value) -> Value:
    """The text with each pattern replaced: at a place, the first one that fits, in their order."""
    pairs = [(string(key), string(each)) for key, each in obj(patterns).sorted_items()]
    return _replaced(string(value), pairs)


def _replaced(text: str, pairs: list[tuple[str, str]]) -> str:
    if len(pairs) == 1:
        old, new = pairs[0]
        small(len(text) + (text.count(old) + 1) * len(new))
        return text.replace(old, new)
    out: list[str] = []
    at = size = 0
    while at < len(text):
        old, new = next((p for p in pairs if p[0] and text.startswith(p[0], at)), ("", text[at]))
        out.append(new)
        size += len(new)
        small(size)
        at += len(old) or 1
    return "".join(out)


def trim(text: str, chars: str) -> Value:
    return text.strip(chars) if chars else text


def trim_left(text: str, chars: str) -> Value:
    return text.lstrip(chars) if chars else text


def trim_right(text: str, chars: str) -> Value:
    return text.rstrip(chars) if chars else text


def lower(text: str) -> str:
    """The text in lower case, letter by letter, as Go does it."""
    return "".join(low if len(low := char.lower()) == 1 else char for char in text)


def upper(text: str) -> str:
    return "".join(up if len(up := char.upper()) == 1 else char for char in text)


def trim_space(text: str) -> str:
    return text.strip(SPACE)


def sprintf(pattern: Value, values: Value) -> Value:
    """Numbers and texts go in as they are, all else as Rego writes it."""
    operands = [
        each if isinstance(each, int | float | str) else text(each) for each in array(values)
    ]
    return printf(string(pattern), operands, most=_WIDEST)


def render_template(template: Value, fields: Value) -> Value:
    """A template of Go's text/template, filled in."""
    from croze.gotypes.template.evaluate import render

    try:
        text = render(string(template), to_plain(obj(fields)))
    except TemplateError as error:
        raise FunctionError(str(error)) from None
    return text.replace("<no value>", "<undefined>")
