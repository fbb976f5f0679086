"""The functions of templates: Go's own, and those that the Docker CLI adds.

Source: Go `text/template` (functions), docker/cli `templates/templates.go`.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import quote_plus

from msgspec import Struct

from croze.gotypes import gojson
from croze.gotypes.letters import to_lower, to_upper
from croze.gotypes.strings import from_bytes, to_bytes
from croze.gotypes.template.lexer import TemplateError
from croze.gotypes.template.printf import printf
from croze.gotypes.template.values import (
    ANY,
    NO_VALUE,
    Fields,
    HasMethods,
    Nil,
    NilTexts,
    Texts,
    TypedMap,
    equal,
    is_struct_pointer,
    is_true,
    order,
    shown,
    type_name,
)
from croze.patterns import lazy_pattern


class TemplateFunction(Struct, frozen=True):
    """A function, the Go types of what it takes, and the type of what more it takes, if it does."""

    call: Callable[..., object]
    takes: tuple[str, ...] = (ANY,)
    more: str = ""

    def wants(self, count: int, operands: Sequence[object]) -> str:
        """What is wrong with so many arguments, of which these do not come from a pipeline."""
        if self.more:
            return f"want at least {len(self.takes)} got {len(operands)}"
        return f"want {len(self.takes)} got {count}"


def _pointed(value: object) -> str:
    """The type of a value, or of what it points to."""
    return type_name(value).removeprefix("*")


def _at(key: object, length: int) -> int:
    """A place in a sequence, or behind its end."""
    if key is None:
        raise TemplateError("cannot index slice/array with nil")
    if isinstance(key, bool) or not isinstance(key, int):
        raise TemplateError(f"cannot index slice/array with type {type_name(key)}")
    if not 0 <= key <= length:
        raise TemplateError(f"index out of range: {key}")
    return key


def _index(value: object, *keys: object) -> object:
    if value is None:
        raise TemplateError("index of untyped nil")
    for key in keys:
        if isinstance(value, Mapping) and not isinstance(value, Fields):
            if not isinstance(key, str):
                if key is None:
                    raise TemplateError("value is nil; should be of type string")
                raise TemplateError(f"value has type {type_name(key)}; should be string")
            value = value.get(key, value.absent if isinstance(value, TypedMap) else None)
        elif isinstance(value, str | bytes | list | tuple):
            value = _item(value, key)
        elif value is None or isinstance(value, Nil):
            raise TemplateError("index of nil pointer")
        else:
            raise TemplateError(f"can't index item of type {_pointed(value)}")
    return value


def _item(value: str | bytes | list[object] | tuple[object, ...], key: object) -> object:
    items = to_bytes(value) if isinstance(value, str) else value
    at = _at(key, len(items))
    if at == len(items):
        kind = "string" if isinstance(value, str) else "slice"
        raise TemplateError(f"reflect: {kind} index out of range")
    return items[at]


def _slice(value: object, *bounds: object) -> object:
    if value is None:
        raise TemplateError("slice of untyped nil")
    if isinstance(value, Nil):
        raise TemplateError("slice of nil pointer")
    if len(bounds) > 3:
        raise TemplateError(f"too many slice indexes: {len(bounds)}")
    if not isinstance(value, str | bytes | list | tuple):
        raise TemplateError(f"can't slice item of type {_pointed(value)}")
    if isinstance(value, str) and len(bounds) == 3:
        raise TemplateError("cannot 3-index slice a string")
    items = to_bytes(value) if isinstance(value, str) else value
    places = [_at(bound, len(items)) for bound in bounds]
    start, end, *last = [*places, *(0, len(items))[len(places) :]]
    for lower, upper in ((start, end), *((end, each) for each in last)):
        if lower > upper:
            raise TemplateError(f"invalid slice index: {lower} > {upper}")
    part = items[start:end]
    if isinstance(items, Texts):
        return Texts(items[start:end])
    return from_bytes(part) if isinstance(value, str) and isinstance(part, bytes) else part


def _len(value: object) -> int:
    if isinstance(value, str):
        return len(to_bytes(value))
    if isinstance(value, Mapping | Sequence) and not isinstance(value, Fields):
        return len(value)
    if value is None or isinstance(value, Nil):
        raise TemplateError("len of nil pointer")
    raise TemplateError(f"len of type {_pointed(value)}")


def _call(name: str, value: object, *_: object) -> object:
    """No value is a function."""
    if value is None:
        raise TemplateError("call of nil")
    raise TemplateError(f"non-function {name} of type {type_name(value)}")


def _eq(first: object, *others: object) -> bool:
    if not others:
        raise TemplateError("missing argument for comparison")
    return any(equal(first, other) for other in others)


def _print(*values: object) -> str:
    """Spaces between values of which neither is a text."""
    out: list[str] = []
    for at, value in enumerate(values):
        if at and not isinstance(value, str) and not isinstance(values[at - 1], str):
            out.append(" ")
        out.append(_printed(value))
    return "".join(out)


def _println(*values: object) -> str:
    return " ".join(map(_printed, values)) + "\n"


def _printed(value: object) -> str:
    return "&" * is_struct_pointer(value) + shown(value, top=False)


def json_text(value: object) -> str:
    """Compact, `<`, `>` and `&` as they are; a map's keys in order, a struct's as they stand.
    Raises `TemplateError` for what JSON has not."""
    return gojson.marshal_unescaped(in_order(value)).decode()


def in_order(value: object) -> object:
    """A value as Go's JSON has it: the keys of a map sorted, the members of a struct as they stand,
    whole numbers without a fraction. Raises `TemplateError` for what JSON has not."""
    if isinstance(value, Fields) and value.members is not None:
        return {key: in_order(one) for key, one in value.members.items()}
    if isinstance(value, Mapping):
        keys = value if isinstance(value, Fields) else sorted(value)
        return {key: in_order(value[key]) for key in keys}
    if isinstance(value, NilTexts):
        return None
    if isinstance(value, list | tuple):
        return [in_order(one) for one in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        return int(value)
    if isinstance(value, HasMethods):
        return value.plain
    if isinstance(value, complex):
        raise TemplateError(f"json: unsupported type: {type_name(value)}")
    return None if isinstance(value, Nil) else value


def _split(text: str, by: str) -> Texts:
    """A text between separators; its characters where there is none."""
    return Texts(text.split(by) if by else text)


def _pad(text: str, before: int, after: int) -> str:
    """Spaces around a text that is not empty."""
    if text and min(before, after) < 0:
        raise TemplateError("strings: negative Repeat count")
    return " " * before + text + " " * after if text else ""


def _truncate(text: str, length: int) -> str:
    """The first bytes of a text."""
    if length < 0:
        raise TemplateError(f"runtime error: slice bounds out of range [:{length}]")
    return from_bytes(to_bytes(text)[:length])


_WORD = lazy_pattern(r"(?<![\w])\w")


def _title(text: str) -> str:
    return _WORD.sub(lambda first: to_upper(first[0]), text)


def _join(items: object, separator: str) -> str:
    """A list's items, or a map's values in order."""
    if items is None:
        return ""
    if isinstance(items, Mapping) and not isinstance(items, Fields):
        return separator.join(sorted(shown(each, top=False) for each in items.values()))
    if not isinstance(items, list | tuple | bytes):
        raise TemplateError(f"expected slice, got {type_name(items)}")
    return separator.join(shown(each, top=False) for each in items)


def _escaping(*values: object) -> str:
    """What functions that escape do it with."""
    return _print(*(NO_VALUE if value is None else value for value in values))


def _html(*values: object) -> str:
    escaped = html.escape(_escaping(*values)).replace("&#x27;", "&#39;").replace("&quot;", "&#34;")
    return escaped.replace("\0", "\ufffd")


_IN_SCRIPTS = {"\\": r"\\", "'": r"\'", '"': r"\"", "<": r"\u003C", ">": r"\u003E"}
_IN_SCRIPTS |= {"&": r"\u0026", "=": r"\u003D"}


def _script(*values: object) -> str:
    return "".join(map(_in_script, _escaping(*values)))


def _in_script(char: str) -> str:
    plain = char.isprintable() or (char == " ")
    return _IN_SCRIPTS.get(char, char if plain else f"\\u{ord(char):04X}")


_TEXT = ("string",)
_TWO = (ANY, ANY)

FUNCTIONS: Mapping[str, TemplateFunction] = {
    "and": TemplateFunction(is_true, more=ANY),
    "or": TemplateFunction(is_true, more=ANY),
    "call": TemplateFunction(_call, more=ANY),
    "eq": TemplateFunction(_eq, more=ANY),
    "ne": TemplateFunction(lambda one, other: not equal(one, other), _TWO),
    "lt": TemplateFunction(lambda one, other: order(one, other) < 0, _TWO),
    "le": TemplateFunction(lambda one, other: order(one, other) <= 0, _TWO),
    "gt": TemplateFunction(lambda one, other: order(one, other) > 0, _TWO),
    "ge": TemplateFunction(lambda one, other: order(one, other) >= 0, _TWO),
    "not": TemplateFunction(lambda value: not is_true(value)),
    "len": TemplateFunction(_len),
    "index": TemplateFunction(_index, more=ANY),
    "slice": TemplateFunction(_slice, more=ANY),
    "print": TemplateFunction(_print, (), ANY),
    "println": TemplateFunction(_println, (), ANY),
    "printf": TemplateFunction(lambda text, *values: printf(text, values), _TEXT, ANY),
    "html": TemplateFunction(_html, (), ANY),
    "js": TemplateFunction(_script, (), ANY),
    "urlquery": TemplateFunction(lambda *values: quote_plus(_escaping(*values)), (), ANY),
    "json": TemplateFunction(json_text),
    "split": TemplateFunction(_split, ("string", "string")),
    "join": TemplateFunction(_join, (ANY, "string")),
    "title": TemplateFunction(_title, _TEXT),
    "lower": TemplateFunction(to_lower, _TEXT),
    "upper": TemplateFunction(to_upper, _TEXT),
    "pad": TemplateFunction(_pad, ("string", "int", "int")),
    "truncate": TemplateFunction(_truncate, ("string", "int")),
}
"""By name. What `and` and `or` do is the evaluator's: they stop at the first value that decides."""

HEADINGS: Mapping[str, TemplateFunction] = {
    **dict.fromkeys(
        ("split", "join"), TemplateFunction(lambda text, _: text, ("string", "string"))
    ),
    "truncate": TemplateFunction(lambda text, _: text, ("string", "int")),
    **dict.fromkeys(
        ("json", "title", "lower", "upper"), TemplateFunction(lambda text: text, _TEXT)
    ),
}
"""What these are for the headings of a table, which stay as they are."""
