"""Values of Rego, as hashable Python values that are equal when Rego says so.

Arrays are tuples and sets frozensets; booleans are a type of their own, since Python's are numbers.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from typing import TypeAlias, TypeVar

from croze.gotypes.quote import quote

T = TypeVar("T")


class Boolean(Enum):
    FALSE = 0
    TRUE = 1

    def __bool__(self) -> bool:
        return self is Boolean.TRUE


TRUE, FALSE = Boolean.TRUE, Boolean.FALSE


class Object:
    """An object: keys are any values."""

    __slots__ = ("_fields", "_hash")

    def __init__(self, fields: Mapping[Value, Value] | Iterable[tuple[Value, Value]] = ()) -> None:
        self._fields: dict[Value, Value] = dict(fields)
        self._hash: int | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Object) and self._fields == other._fields

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash(frozenset(self._fields.items()))
        return self._hash

    def __len__(self) -> int:
        return len(self._fields)

    def __contains__(self, key: Value) -> bool:
        return key in self._fields

    def __iter__(self) -> Iterator[Value]:
        return iter(self._fields)

    def __getitem__(self, key: Value) -> Value:
        return self._fields[key]

    def get(self, key: Value, default: T) -> Value | T:
        return self._fields.get(key, default)

    def items(self) -> Iterable[tuple[Value, Value]]:
        return self._fields.items()

    def sorted_items(self) -> list[tuple[Value, Value]]:
        return sorted(self._fields.items(), key=lambda item: order(item[0]))


Value: TypeAlias = (
    "Boolean | int | float | str | tuple[Value, ...] | Object | frozenset[Value] | None"
)


def boolean(truth: bool) -> Boolean:
    return TRUE if truth else FALSE


def number(value: float) -> int | float:
    """A number as OPA shows it: whole ones without a fraction."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        return int(value)
    return value


_RANKS: dict[type, int] = {
    type(None): 0,
    Boolean: 1,
    int: 2,
    float: 2,
    str: 3,
    tuple: 4,
    Object: 5,
    frozenset: 6,
}
_NAMES = {
    type(None): "null",
    Boolean: "boolean",
    int: "number",
    float: "number",
    str: "string",
    tuple: "array",
    Object: "object",
    frozenset: "set",
}


def type_name(value: Value) -> str:
    return _NAMES[type(value)]


def order(value: Value) -> tuple[object, ...]:
    """A key to sort by: types first, then values."""
    rank = _RANKS[type(value)]
    match value:
        case None:
            return (rank,)
        case Boolean():
            return (rank, value.value)
        case tuple():
            return (rank, tuple(order(each) for each in value))
        case Object():
            pairs = value.sorted_items()
            return (rank, tuple((order(key), order(each)) for key, each in pairs))
        case frozenset():
            return (rank, tuple(sorted(order(each) for each in value)))
    return (rank, value)


def in_order(values: Iterable[Value]) -> list[Value]:
    return sorted(values, key=order)


def text(value: Value) -> str:
    """The value as Rego writes it."""
    match value:
        case None:
            return "null"
        case Boolean():
            return "true" if value else "false"
        case str():
            return quote(value)
        case tuple():
            return "[" + ", ".join(map(text, value)) + "]"
        case Object():
            pairs = value.sorted_items()
            return "{" + ", ".join(f"{text(key)}: {text(each)}" for key, each in pairs) + "}"
        case frozenset():
            return "{" + ", ".join(map(text, in_order(value))) + "}" if value else "set()"
    return number_text(value)


def number_text(value: int | float) -> str:
    if isinstance(value, int):
        return str(value)
    shown = repr(value)
    if "e" in shown:
        digits, _, exponent = shown.partition("e")
        sign = "-" if exponent.startswith("-") else "+"
        return f"{digits}e{sign}{exponent.lstrip('+-').zfill(2)}"
    return shown


def from_plain(plain: object) -> Value:
    """What JSON says, as a value. Raises TypeError for what JSON can't say."""
    if isinstance(plain, bool):
        return boolean(plain)
    if plain is None or isinstance(plain, int | float | str):
        return plain
    if isinstance(plain, list | tuple):
        return tuple(from_plain(each) for each in plain)
    if isinstance(plain, Mapping):
        return Object((str(key), from_plain(each)) for key, each in plain.items())
    raise TypeError(f"no value of Rego: {type(plain).__name__}")


def to_plain(value: Value) -> object:
    """The value as JSON says it: sets are arrays in order, keys that are no strings are written
    out."""
    match value:
        case Boolean():
            return bool(value)
        case tuple():
            return [to_plain(each) for each in value]
        case frozenset():
            return [to_plain(each) for each in in_order(value)]
        case Object():
            return {_key(key): to_plain(each) for key, each in value.sorted_items()}
    return value


def _key(key: Value) -> str:
    if isinstance(key, str):
        return key
    return json.dumps(to_plain(key), ensure_ascii=False, separators=(",", ":"))
