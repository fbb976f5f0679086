"""Arguments of the kind that a function wants. Raises `FunctionError` for others."""

from __future__ import annotations

from croze.rego.errors import FunctionError
from croze.rego.values import Boolean, Object, Value

MOST_ITEMS = 1 << 22
"""The most items of a list, or characters of a text, that a function makes."""


def string(value: Value) -> str:
    if not isinstance(value, str):
        raise FunctionError("must be string")
    return value


def num(value: Value) -> int | float:
    if isinstance(value, Boolean) or not isinstance(value, int | float):
        raise FunctionError("must be number")
    return value


def integer(value: Value) -> int:
    """A whole number."""
    number = num(value)
    if isinstance(number, float) and not number.is_integer():
        raise FunctionError("must be integer number but got floating-point number")
    return int(number)


def obj(value: Value) -> Object:
    if not isinstance(value, Object):
        raise FunctionError("must be object")
    return value


def array(value: Value) -> tuple[Value, ...]:
    """The elements of an array."""
    if not isinstance(value, tuple):
        raise FunctionError("must be array")
    return value


def a_set(value: Value) -> frozenset[Value]:
    if not isinstance(value, frozenset):
        raise FunctionError("must be set")
    return value


def items(value: Value) -> tuple[Value, ...] | frozenset[Value]:
    """The elements of an array or of a set."""
    if not isinstance(value, tuple | frozenset):
        raise FunctionError("must be one of {array, set}")
    return value


def strings(value: Value) -> list[str]:
    return [string(each) for each in items(value)]


def small(size: int) -> None:
    """See that so many items are no more than anybody needs. Raises `FunctionError`."""
    if size > MOST_ITEMS:
        raise FunctionError("it would be too large")
