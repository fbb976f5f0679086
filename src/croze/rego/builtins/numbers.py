"""Numbers: arithmetic, bits, sums, ranges, units."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Context, Decimal, DivisionByZero, InvalidOperation
from functools import reduce

from croze.rego.builtins.operands import integer, items, num, small, string
from croze.rego.errors import FunctionError
from croze.rego.functions import UNDEFINED, RegoSurroundings, Undefined
from croze.rego.values import Boolean, Value, in_order, number, order

_FLOATS = Context(prec=19)
"""64 bits, as OPA reckons."""
_ZERO: Value = 0
_ONE: Value = 1
_MOST_SHIFT = 1 << 16
_MOST_BITS = 1 << 18
_BINARY = {"ki": 10, "mi": 20, "gi": 30, "ti": 40, "pi": 50, "ei": 60}
_DECIMAL = {"k": 3, "m": 6, "g": 9, "t": 12, "p": 15, "e": 18}
_AMOUNT = re.compile(r"([-+]?[0-9.]*(?:[eE][-+]?[0-9]+(?![a-zA-Z]))?)(.*)", re.DOTALL)


def _decimal(value: int | float) -> Decimal:
    return Decimal(repr(value)) if isinstance(value, float) else Decimal(value)


def _arithmetic(
    ints: Callable[[int, int], int], decimals: Callable[[Decimal, Decimal], Decimal]
) -> Callable[[Value, Value], Value]:
    def calculate(left: Value, right: Value) -> Value:
        x, y = num(left), num(right)
        if isinstance(x, int) and isinstance(y, int):
            small(max(x.bit_length(), y.bit_length()))
            return ints(x, y)
        try:
            return number(float(decimals(_decimal(x), _decimal(y))))
        except (InvalidOperation, OverflowError, DivisionByZero) as error:
            raise FunctionError(str(error)) from None

    return calculate


plus = _arithmetic(lambda x, y: x + y, _FLOATS.add)


def multiply(left: Value, right: Value) -> Value:
    x, y = num(left), num(right)
    if isinstance(x, int) and isinstance(y, int) and x.bit_length() + y.bit_length() > _MOST_BITS:
        raise FunctionError("it would be too large")
    return _multiply(left, right)


_multiply = _arithmetic(lambda x, y: x * y, _FLOATS.multiply)
_minus = _arithmetic(lambda x, y: x - y, _FLOATS.subtract)


def minus(left: Value, right: Value) -> Value:
    """The difference of numbers, or of sets."""
    if isinstance(left, frozenset) and isinstance(right, frozenset):
        return left - right
    return _minus(left, right)


def divide(left: Value, right: Value) -> Value:
    x, y = num(left), num(right)
    if not y:
        raise FunctionError("divide by zero")
    if isinstance(x, int) and isinstance(y, int) and not x % y:
        return x // y
    return number(float(_FLOATS.divide(_decimal(x), _decimal(y))))


def remainder(left: Value, right: Value) -> Value:
    x, y = integer(left), integer(right)
    if not y:
        raise FunctionError("modulo by zero")
    rest = abs(x) % abs(y)
    return -rest if x < 0 else rest


def rounded(value: Value) -> Value:
    """The nearest whole number; half goes away from zero."""
    x = num(value)
    return int(_decimal(x) + (Decimal("0.5") if x >= 0 else Decimal("-0.5")))


def ceil(value: Value) -> Value:
    return -int(-_decimal(num(value)) // 1) if num(value) < 0 else -_floor(-num(value))


def floor(value: Value) -> Value:
    return _floor(num(value))


def _floor(value: int | float) -> int:
    whole = int(_decimal(value))
    return whole - 1 if whole > value else whole


def absolute(value: Value) -> Value:
    return abs(num(value))


def shift_left(value: Value, by: Value) -> Value:
    return integer(value) << _shift(by)


def shift_right(value: Value, by: Value) -> Value:
    return integer(value) >> _shift(by)


def _shift(by: Value) -> int:
    count = integer(by)
    if not 0 <= count <= _MOST_SHIFT:
        raise FunctionError("must be an unsigned integer number but got a negative integer")
    return count


def total(values: Value) -> Value:
    return reduce(plus, in_order(items(values)), _ZERO)


def product(values: Value) -> Value:
    return reduce(multiply, in_order(items(values)), _ONE)


def largest(values: Value) -> Value | Undefined:
    listed = items(values)
    return max(listed, key=order) if listed else UNDEFINED


def smallest(values: Value) -> Value | Undefined:
    listed = items(values)
    return min(listed, key=order) if listed else UNDEFINED


def numbers_range(first: Value, last: Value) -> Value:
    return numbers_range_step(first, last, 1)


def numbers_range_step(first: Value, last: Value, by: Value) -> Value:
    """The numbers from first to last, up or down, both ends included."""
    x, y, step = integer(first), integer(last), integer(by)
    if step <= 0:
        raise FunctionError("numbers.range_step: step must be a positive integer")
    small(abs(y - x) // step)
    return tuple(range(x, y + 1, step) if x <= y else range(x, y - 1, -step))


def random_below(world: RegoSurroundings, name: Value, most: Value) -> Value:
    """A random number below a bound: always the same one for the same name and bound."""
    n = abs(integer(most))
    key = ("rand.intn", string(name), n)
    if key not in world.memory:
        world.memory[key] = world.random(n) if n else 0
    return world.memory[key]


_NUMBER = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")


def to_number(value: Value) -> Value:
    match value:
        case None:
            return 0
        case Boolean():
            return int(bool(value))
        case str() if _NUMBER.fullmatch(value) and len(value) <= 4096:
            plain = re.fullmatch("[-+]?[0-9]+", value)
            return int(value) if plain else float(value)
    return num(value)


def format_int(value: Value, base: Value) -> Value:
    letters = {2: "b", 8: "o", 10: "d", 16: "x"}
    letter = letters.get(integer(base))
    if letter is None:
        raise FunctionError("must be one of {2, 8, 10, 16}")
    return format(int(num(value)), letter)


def parse_units(text: Value) -> Value:
    """The number that an amount such as `10K`, `1Gi`, `200m` stands for."""
    amount, unit = _amount(text)
    if unit == "m":
        return _exact(amount / 1000)
    return _exact(amount * _factor(unit.lower(), unit))


def parse_bytes(text: Value) -> Value:
    """The whole bytes that an amount such as `10KB` or `1GiB` stands for."""
    amount, unit = _amount(text)
    plain = unit.lower()
    return int(amount * _factor(plain.removesuffix("b") if plain != "b" else plain, unit))


def _amount(text: Value) -> tuple[Decimal, str]:
    plain = string(text).replace('"', "")
    if " " in plain:
        raise FunctionError("spaces not allowed in resource strings")
    match = _AMOUNT.match(plain)
    digits, unit = (str(match[1]), str(match[2])) if match else ("", plain)
    if not digits:
        raise FunctionError("no amount provided")
    try:
        return Decimal(digits), unit
    except InvalidOperation:
        raise FunctionError("could not parse amount to a number") from None


def _factor(lower: str, unit: str) -> int:
    if lower == "":
        return 1
    if lower in _BINARY:
        return 1 << _BINARY[lower]
    if lower in _DECIMAL:
        return int(10 ** _DECIMAL[lower])
    raise FunctionError(f"unit {unit} not recognized")


def _exact(value: Decimal) -> Value:
    return int(value) if value == value.to_integral_value() else float(value)
