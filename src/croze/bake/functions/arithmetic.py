"""Functions of numbers and truth values."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from croze.bake.functions.floats import logarithm, powered
from croze.bake.functions.support import (
    amount,
    floating,
    from_float,
    function,
    of_bools,
    of_numbers,
    parameter,
    whole,
)
from croze.bake.hcl.function import ArgumentError, CallError, Function
from croze.bake.hcl.operators import OperationError, arithmetic
from croze.bake.values import number as numbers
from croze.bake.values.number import Number
from croze.bake.values.types import BOOL, DYNAMIC, NUMBER, list_of
from croze.bake.values.value import Value, boolean, equals, integer, list_value, number, unknown_of
from croze.gotypes.quote import quote

_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_MOST_VALUES: Final = 1024


def _operation(operator: str) -> Function:
    def apply(left: Number, right: Number) -> Number:
        try:
            return arithmetic(operator, left, right)
        except OperationError as error:
            raise CallError(str(error)) from None

    return of_numbers(apply, "a", "b")


def _comparison(compare: Callable[[Number, Number], bool]) -> Function:
    parameters = (
        parameter("a", NUMBER, unknown=True),
        parameter("b", NUMBER, unknown=True),
    )

    def apply(args: Sequence[Value]) -> Value:
        if not all(each.is_known for each in args):
            return unknown_of(BOOL)
        return boolean(compare(args[0].number, args[1].number))

    return function(apply, *parameters, returns=BOOL)


def _equality(equal: bool) -> Function:
    def apply(args: Sequence[Value]) -> Value:
        same = equals(args[0], args[1])
        return unknown_of(BOOL) if same is None else boolean(same is equal)

    sides = (parameter("a", null=True, unknown=True), parameter("b", null=True, unknown=True))
    return function(apply, *sides, returns=BOOL)


def _extreme(choose: Callable[[Sequence[Number]], Number]) -> Function:
    def apply(args: Sequence[Value]) -> Value:
        if not args:
            raise CallError("must pass at least one number")
        return number(choose([each.number for each in args]))

    return function(apply, returns=NUMBER, variadic=amount("numbers"))


def _smallest(operands: Sequence[Number]) -> Number:
    return min(operands)


def _largest(operands: Sequence[Number]) -> Number:
    return max(operands)


def _int(value: Number) -> Number:
    return value if value.is_whole or value.infinite else numbers.from_int(value.truncated())


def _ceil(value: Number) -> Number:
    if value.infinite:
        return value
    return Number(math.ceil(value.value), value.precision)


def _floor(value: Number) -> Number:
    if value.infinite:
        return value
    return Number(math.floor(value.value), value.precision)


def _log(args: Sequence[Value]) -> Value:
    above, below = logarithm(floating(args[0])), logarithm(floating(args[1]))
    if below == 0:
        quotient = math.nan if above == 0 or above != above else math.copysign(math.inf, above)
    elif math.isinf(above) and math.isinf(below):
        quotient = math.nan
    else:
        quotient = above / below
    return number(from_float(quotient))


def _pow(args: Sequence[Value]) -> Value:
    base, power = floating(args[0]), floating(args[1])
    return number(from_float(powered(base, power)))


def _signum(args: Sequence[Value]) -> Value:
    value = whole(args[0])
    return integer((value > 0) - (value < 0))


def _parse_int(args: Sequence[Value]) -> Value:
    text = args[0]
    if text.kind != "string":
        raise ArgumentError(0, f"first argument must be a string, not {text.type.name()}")
    try:
        base = whole(args[1])
    except CallError as error:
        raise ArgumentError(1, str(error)) from None
    if not 2 <= base <= 62:
        raise ArgumentError(1, "base must be a whole number between 2 and 62 inclusive")
    value = _digits(text.text, base)
    if value is None:
        raise ArgumentError(0, f"cannot parse {quote(text.text)} as a base {base} integer")
    return integer(value)


def _digits(text: str, base: int) -> int | None:
    sign = -1 if text.startswith("-") else 1
    digits = text[1:] if text[:1] in ("-", "+") else text
    if base <= 36:
        digits = digits.lower()
    if not digits or len(digits) > numbers.PRECISION * 8:
        return None
    value = 0
    for digit in digits:
        worth = _DIGITS.find(digit)
        if not 0 <= worth < base:
            return None
        value = value * base + worth
    return sign * value


def _range(args: Sequence[Value]) -> Value:
    if not 1 <= len(args) <= 3:
        raise CallError("must have one, two, or three arguments")
    bounds = [each.number for each in args]
    start, end = (numbers.ZERO, bounds[0]) if len(bounds) == 1 else (bounds[0], bounds[1])
    step = bounds[2] if len(bounds) == 3 else numbers.from_int(-1 if end < start else 1)
    if step.sign < 0 and start < end:
        raise ArgumentError(1, "end must be less than start when step is negative")
    if step.sign >= 0 and end < start:
        raise ArgumentError(1, "end must be greater than start when step is positive")
    values: list[Value] = []
    while start < end if step.sign >= 0 else end < start:
        if len(values) >= _MOST_VALUES:
            raise CallError(
                f"more than {_MOST_VALUES} values were generated; either decrease the "
                "difference between "
                "start and end or use a smaller step"
            )
        values.append(number(start))
        start = numbers.add(start, step)
    return list_value(values, NUMBER)


FUNCTIONS: Final[Mapping[str, Function]] = {
    "absolute": of_numbers(numbers.absolute, "num"),
    "add": _operation("+"),
    "and": of_bools(lambda a, b: a and b, "a", "b"),
    "ceil": of_numbers(_ceil, "num"),
    "divide": _operation("/"),
    "equal": _equality(True),
    "floor": of_numbers(_floor, "num"),
    "greaterthan": _comparison(lambda a, b: b < a),
    "greaterthanorequalto": _comparison(lambda a, b: not a < b),
    "int": of_numbers(_int, "num"),
    "lessthan": _comparison(lambda a, b: a < b),
    "lessthanorequalto": _comparison(lambda a, b: not b < a),
    "log": function(_log, amount("num"), amount("base"), returns=NUMBER),
    "max": _extreme(_largest),
    "min": _extreme(_smallest),
    "modulo": _operation("%"),
    "multiply": _operation("*"),
    "negate": of_numbers(numbers.negate, "num"),
    "not": of_bools(lambda a: not a, "val"),
    "notequal": _equality(False),
    "or": of_bools(lambda a, b: a or b, "a", "b"),
    "parseint": function(_parse_int, parameter("number", DYNAMIC), amount("base"), returns=NUMBER),
    "pow": function(_pow, amount("num"), amount("power"), returns=NUMBER),
    "range": function(_range, returns=list_of(NUMBER), variadic=amount("params")),
    "signum": function(_signum, amount("num"), returns=NUMBER),
    "subtract": _operation("-"),
}
