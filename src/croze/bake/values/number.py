"""Numbers: binary floating point with as many bits as asked for, 512 for what people write.

The arithmetic is that of Go's math/big.Float: results are rounded to the larger precision of the
operands, to nearest even. Rounding happens on exact fractions, so nothing is lost on the way.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import total_ordering
from typing import Final

PRECISION: Final = 512
_INT_PRECISION: Final = 64
_FLOAT_PRECISION: Final = 53
# Beyond this, writing the number out would take longer than anybody waits.
_LARGEST_EXPONENT: Final = 20_000
_SYNTAX: Final = re.compile(
    r"([+-]?)(?:([0-9]*)(?:\.([0-9]*))?(?:([eEpP])([+-]?[0-9]+))?|([iI]nf))"
)


class NotANumberError(Exception):
    """The operation has no result, infinity minus infinity for instance."""


@total_ordering
class Number:
    """An exact number with the precision, in bits, that results computed from it keep."""

    __slots__ = ("infinite", "negative_zero", "precision", "value")

    def __init__(
        self,
        value: int | Fraction,
        precision: int = PRECISION,
        infinite: int = 0,
        negative_zero: bool = False,
    ) -> None:
        """An integer stays one, whatever its type. `infinite` is -1 or 1 for an infinity, whose
        `value` is 0; `negative_zero` is true of -0 alone."""
        if isinstance(value, Fraction) and value.denominator == 1:
            value = value.numerator
        self.value = value
        self.precision = precision
        self.infinite = infinite
        self.negative_zero = negative_zero

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Number):
            return NotImplemented
        return self.infinite == other.infinite and self.value == other.value

    def __lt__(self, other: Number) -> bool:
        if self.infinite or other.infinite:
            return self.infinite < other.infinite
        return self.value < other.value

    def __hash__(self) -> int:
        return hash((self.value, self.infinite))

    @property
    def sign(self) -> int:
        if self.infinite:
            return self.infinite
        return (self.value > 0) - (self.value < 0)

    @property
    def negative(self) -> bool:
        return self.sign < 0 or self.negative_zero

    @property
    def is_whole(self) -> bool:
        return not self.infinite and isinstance(self.value, int)

    def truncated(self) -> int:
        """The whole part, rounded towards zero; NotANumberError for an infinity."""
        if self.infinite:
            raise NotANumberError
        return int(self.value)

    def as_float(self) -> float:
        if self.infinite:
            return self.infinite * float("inf")
        if self.negative_zero:
            return -0.0
        try:
            return float(self.value)
        except OverflowError:
            return self.sign * float("inf")


ZERO: Final = Number(0, _INT_PRECISION)
POSITIVE_INFINITY: Final = Number(0, infinite=1)
NEGATIVE_INFINITY: Final = Number(0, infinite=-1)


def from_int(value: int) -> Number:
    return Number(value, max(value.bit_length(), _INT_PRECISION))


def from_float(value: float) -> Number:
    if value in (float("inf"), float("-inf")):
        return POSITIVE_INFINITY if value > 0 else NEGATIVE_INFINITY
    negative_zero = value == 0 and str(value) == "-0.0"
    return Number(Fraction(value), _FLOAT_PRECISION, negative_zero=negative_zero)


def parse(text: str) -> Number | None:
    """The number a decimal text means, rounded to 512 bits; None if it is none."""
    match = _SYNTAX.fullmatch(text)
    if match is None:
        return None
    sign, whole, fraction, letter, exponent, infinity = match.groups()
    negative = sign == "-"
    if infinity:
        return NEGATIVE_INFINITY if negative else POSITIVE_INFINITY
    digits = (whole or "") + (fraction or "")
    if not digits or len(digits) > _LARGEST_EXPONENT or len(exponent or "") > 7:
        return None
    scale = int(exponent or 0)
    if abs(scale) > _LARGEST_EXPONENT:
        return None
    value = Fraction(_parse_digits(digits), 10 ** len(fraction or ""))
    base = 2 if letter in ("p", "P") else 10
    value = value * base**scale if scale >= 0 else value / base**-scale
    if negative:
        value = -value
    return _rounded(value, PRECISION, negative and value == 0)


def _parse_digits(digits: str) -> int:
    """`int(digits)` without the interpreter's limit on digits."""
    number = 0
    for at in range(0, len(digits), 4000):
        piece = digits[at : at + 4000]
        number = number * 10 ** len(piece) + int(piece)
    return number


def _rounded(value: int | Fraction, precision: int, negative_zero: bool = False) -> Number:
    """Nearest value of so many bits, ties to the even one."""
    if isinstance(value, int) and value.bit_length() <= precision:
        return Number(value, precision, negative_zero=negative_zero)
    exact = Fraction(value)
    magnitude = abs(exact)
    if magnitude == 0:
        return Number(0, precision, negative_zero=negative_zero)
    exponent = magnitude.numerator.bit_length() - magnitude.denominator.bit_length()
    shift = precision - exponent
    scaled = magnitude * 2**shift if shift >= 0 else magnitude / 2**-shift
    while scaled >= 2**precision:
        scaled /= 2
        shift -= 1
    while scaled < 2 ** (precision - 1):
        scaled *= 2
        shift += 1
    mantissa = round(scaled)
    result = Fraction(mantissa) * Fraction(2) ** -shift
    return Number(result if exact > 0 else -result, precision)


def negate(number: Number) -> Number:
    if number.infinite:
        return Number(0, number.precision, -number.infinite)
    zero = number.value == 0
    return Number(-number.value, number.precision, negative_zero=zero and not number.negative_zero)


def absolute(number: Number) -> Number:
    return negate(number) if number.negative else number


def add(left: Number, right: Number) -> Number:
    if left.infinite and right.infinite and left.infinite != right.infinite:
        raise NotANumberError
    if left.infinite or right.infinite:
        return left if left.infinite else right
    both = left.negative_zero and right.negative_zero
    return _rounded(left.value + right.value, max(left.precision, right.precision), both)


def subtract(left: Number, right: Number) -> Number:
    return add(left, negate(right))


def multiply(left: Number, right: Number) -> Number:
    if left.infinite or right.infinite:
        if 0 in (left.sign, right.sign):
            raise NotANumberError
        return Number(0, infinite=left.sign * right.sign)
    precision = max(left.precision, right.precision)
    product = _rounded(left.value * right.value, PRECISION, left.negative != right.negative)
    return Number(
        product.value, max(precision, _bits(product.value)), negative_zero=_zero_below(left, right)
    )


def _zero_below(left: Number, right: Number) -> bool:
    return 0 in (left.value, right.value) and left.negative != right.negative


def _bits(value: int | Fraction) -> int:
    """The fewest bits that hold the value exactly."""
    numerator = abs(Fraction(value).numerator)
    return numerator.bit_length() - ((numerator & -numerator).bit_length() - 1) if numerator else 0


def divide(left: Number, right: Number) -> Number:
    if (left.infinite and right.infinite) or (left.sign == 0 and right.sign == 0):
        raise NotANumberError
    precision = max(left.precision, right.precision)
    sign = -1 if left.negative != right.negative else 1
    if left.infinite or right.sign == 0:
        return Number(0, precision, infinite=sign)
    if right.infinite:
        return Number(0, precision, negative_zero=sign < 0)
    return _rounded(
        Fraction(left.value) / Fraction(right.value), precision, left.sign == 0 and sign < 0
    )


def modulo(left: Number, right: Number) -> Number:
    """What remains of truncated division; the number itself when divided by zero."""
    if left.infinite or right.infinite:
        return multiply(left, right)
    if right.sign == 0:
        return left
    whole = Number(divide(left, right).truncated(), left.precision)
    product = _rounded(right.value * whole.value, max(right.precision, whole.precision))
    return _rounded(left.value - product.value, max(left.precision, product.precision))
