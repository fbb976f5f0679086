"""Unary and binary operators on values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from croze.bake.values import number as numbers
from croze.bake.values.number import NotANumberError, Number
from croze.bake.values.types import BOOL, DYNAMIC, NUMBER, Type
from croze.bake.values.value import (
    FALSE,
    TRUE,
    Value,
    boolean,
    equals,
    number,
    unknown_of,
)


class OperationError(Exception):
    """The operation has no result; the text says why."""


_ARITHMETIC: Final[dict[str, tuple[Callable[[Number, Number], Number], str]]] = {
    "+": (numbers.add, "can't compute sum of opposing infinities"),
    "-": (numbers.subtract, "can't subtract infinity from itself"),
    "*": (numbers.multiply, "can't multiply zero by infinity"),
    "/": (numbers.divide, "can't divide zero by zero or infinity by infinity"),
    "%": (numbers.modulo, "can't use modulo with zero and infinity"),
}
_COMPARISON: Final[dict[str, Callable[[Number, Number], bool]]] = {
    ">": lambda a, b: b < a,
    ">=": lambda a, b: not a < b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: not b < a,
}


def operand_type(operator: str) -> Type:
    if operator in ("&&", "||"):
        return BOOL
    return DYNAMIC if operator in ("==", "!=") else NUMBER


def result_type(operator: str) -> Type:
    return NUMBER if operator in _ARITHMETIC else BOOL


def short_circuit(operator: str, left: Value, right: Value) -> tuple[Value, str] | None:
    """What one side alone decides of `&&` and `||`, and which side that is. Null is as good as
    false, as long as it decides."""
    decisive = {"&&": (FALSE, (False, None)), "||": (TRUE, (True,))}.get(operator)
    if decisive is None:
        return None
    result, deciding = decisive
    for side, value in (("left", left), ("right", right)):
        if value.is_known and value.raw in deciding:
            return result, side
    return None


def arithmetic(operator: str, left: Number, right: Number) -> Number:
    compute, problem = _ARITHMETIC[operator]
    try:
        return compute(left, right)
    except NotANumberError:
        raise OperationError(problem) from None


def binary(operator: str, left: Value, right: Value) -> Value:
    """The operator's value for operands of its type."""
    if operator in ("==", "!="):
        same = equals(left, right)
        if same is None:
            return unknown_of(BOOL)
        return boolean(same is (operator == "=="))
    for each in (left, right):
        if each.is_null:
            raise OperationError("argument must not be null")
    if not (left.is_known and right.is_known):
        return unknown_of(result_type(operator))
    if operator == "&&":
        return boolean(left.is_true and right.is_true)
    if operator == "||":
        return boolean(left.is_true or right.is_true)
    if operator in _COMPARISON:
        return boolean(_COMPARISON[operator](left.number, right.number))
    return number(arithmetic(operator, left.number, right.number))


def unary(operator: str, operand: Value) -> Value:
    if operand.is_null:
        raise OperationError("argument must not be null")
    if not operand.is_known:
        return operand
    if operator == "!":
        return boolean(not operand.is_true)
    return number(numbers.negate(operand.number))
