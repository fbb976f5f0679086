"""Logarithms and powers to the last digit of Go's math package: it rounds at other steps than C."""

from __future__ import annotations

import math
from typing import Final

# 2 times the area hyperbolic tangent, as a polynomial: the coefficients of FreeBSD's e_log.c.
_ODD: Final = (6.666666666666735130e-01, 2.857142874366239149e-01)
_ODD_REST: Final = (1.818357216161805012e-01, 1.479819860511658591e-01)
_EVEN: Final = (3.999999999940941908e-01, 2.222219843214978396e-01, 1.531383769920937332e-01)
_LN2_HIGH: Final = 6.93147180369123816490e-01
_LN2_LOW: Final = 1.90821492927058770002e-10


def logarithm(value: float) -> float:
    """The natural one; of 0 it is minus infinity, of less it is none."""
    if value < 0 or value != value:
        return math.nan
    if value == 0 or math.isinf(value):
        return math.inf if value else -math.inf
    mantissa, exponent = math.frexp(value)
    if mantissa < math.sqrt(2) / 2:
        mantissa, exponent = mantissa * 2, exponent - 1
    above_one = mantissa - 1
    ratio = above_one / (2 + above_one)
    square = ratio * ratio
    fourth = square * square
    odd = square * (_ODD[0] + fourth * (_ODD[1] + fourth * (_ODD_REST[0] + fourth * _ODD_REST[1])))
    even = fourth * (_EVEN[0] + fourth * (_EVEN[1] + fourth * _EVEN[2]))
    half = 0.5 * above_one * above_one
    small = ratio * (half + (odd + even)) + exponent * _LN2_LOW
    return exponent * _LN2_HIGH - ((half - small) - above_one)


def powered(base: float, power: float) -> float:
    """The power that Go's math package finds: squarings of the mantissa, rounded each time, end in
    other digits than C's."""
    if abs(power) == 0.5 and base > 0 and math.isfinite(base):
        return math.sqrt(base) if power > 0 else 1 / math.sqrt(base)
    special = base in (0, 1) or power in (0, 1)
    if special or math.isinf(base) or math.isinf(power) or abs(power) >= 2**63:
        return _special_power(base, power)
    fraction, whole_part = math.modf(abs(power))
    if fraction and base < 0:
        return math.nan
    if fraction > 0.5:
        fraction, whole_part = fraction - 1, whole_part + 1
    result = math.exp(fraction * logarithm(base)) if fraction else 1.0
    exponent, remaining = 0, int(whole_part)
    mantissa, step = math.frexp(base)
    while remaining:
        if remaining & 1:
            result *= mantissa
            exponent += step
        mantissa, shift = math.frexp(mantissa * mantissa)
        step = 2 * step + shift
        remaining >>= 1
    if power < 0:
        result, exponent = 1 / result, -exponent
    try:
        return math.ldexp(result, exponent)
    except OverflowError:
        return math.copysign(math.inf, result)


def _special_power(base: float, power: float) -> float:
    try:
        return math.pow(base, power)
    except OverflowError:
        return math.inf
    except ValueError:
        if base or power > 0:
            return math.nan
        odd = power == math.floor(power) and power % 2 == 1
        return math.copysign(math.inf, base) if odd else math.inf
