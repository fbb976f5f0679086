"""Short ways to define functions and to read their arguments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from croze.bake.hcl.function import CallError, Function, Parameter
from croze.bake.values import number as numbers
from croze.bake.values.number import Number
from croze.bake.values.types import BOOL, DYNAMIC, NUMBER, STRING, Type
from croze.bake.values.value import Value, boolean, string
from croze.bake.values.value import number as number_value

_LARGEST: Final = 2**63 - 1


def parameter(
    name: str, type_: Type = DYNAMIC, *, null: bool = False, unknown: bool = False
) -> Parameter:
    return Parameter(name, type_, null, unknown)


def text(name: str) -> Parameter:
    return Parameter(name, STRING)


def amount(name: str) -> Parameter:
    return Parameter(name, NUMBER)


def function(
    call: Callable[[Sequence[Value]], Value],
    *parameters: Parameter,
    returns: Type = DYNAMIC,
    variadic: Parameter | None = None,
) -> Function:
    return Function(parameters, returns, call, variadic)


def of_texts(call: Callable[..., str], *names: str) -> Function:
    """A function from texts to a text."""
    return Function(
        tuple(text(name) for name in names),
        STRING,
        lambda args: string(call(*(each.text for each in args))),
    )


def of_numbers(call: Callable[..., Number], *names: str) -> Function:
    """A function from numbers to a number."""
    return Function(
        tuple(amount(name) for name in names),
        NUMBER,
        lambda args: number_value(call(*(each.number for each in args))),
    )


def of_bools(call: Callable[..., bool], *names: str) -> Function:
    return Function(
        tuple(Parameter(name, BOOL) for name in names),
        BOOL,
        lambda args: boolean(call(*(each.is_true for each in args))),
    )


def whole(value: Value) -> int:
    """The argument as a 64-bit integer; CallError if it is none."""
    number = value.number
    if not number.is_whole or not -_LARGEST - 1 <= number.truncated() <= _LARGEST:
        raise CallError(f"value must be a whole number, between {-_LARGEST - 1} and {_LARGEST}")
    return number.truncated()


def floating(value: Value) -> float:
    """The argument as a double; CallError if it is too large."""
    number = value.number.as_float()
    if number in (float("inf"), float("-inf")) and not value.number.infinite:
        limit = f"{float.fromhex('0x1.fffffffffffffp+1023'):f}"
        raise CallError(f"value must be between -{limit} and {limit} inclusive")
    return number


def from_float(value: float) -> Number:
    """The number of a double; CallError for what is none."""
    if value != value:
        raise CallError("panic in function implementation: Float.SetFloat64(NaN)")
    return numbers.from_float(value)
