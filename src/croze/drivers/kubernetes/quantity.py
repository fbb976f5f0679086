"""Amounts of a resource, `100m`, `1.5Gi`, in the form that Kubernetes gives them.

Source: apimachinery `pkg/api/resource/quantity.go`: a number with a suffix of powers of 1000, of
1024, or an exponent; kept as it was written if it is in canonical form already.
"""

from __future__ import annotations

import re
from fractions import Fraction
from math import ceil

from croze.errors import InvalidRequest

_FORM = re.compile(r"([+-]?)0*([0-9]*)(?:\.([0-9]*))?([eEinumkKMGTP]*[+-]?[0-9]*)\Z")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_EXPONENT = re.compile(r"[eE]([+-]?[0-9]+)\Z")
_WRONG_FORM = (
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
)
_MOST_DIGITS, _MOST_BINARY_DIGITS = 18, 15
_NANO = 10**9
_LARGEST = 2**63 - 1


def canonical(text: str) -> str:
    """An amount in canonical form: `1000m` is `1`. Raises `InvalidRequest` in Kubernetes' words."""
    match = _FORM.match(text)
    if not text or match is None:
        raise InvalidRequest(_WRONG_FORM)
    sign, whole, fraction, suffix = match[1], match[2] or "0", match[3] or "", match[4]
    digits = whole + fraction
    if (exponent := _BINARY.get(suffix)) is not None:
        if not fraction and _is_plain_binary(whole, exponent):
            return text
        value = Fraction(int(digits), 10 ** len(fraction)) * 2**exponent
        return sign.strip("+") + _binary(min(_rounded(value), Fraction(_LARGEST)))
    decimal = _DECIMAL.get(suffix)
    power = _EXPONENT.match(suffix) if decimal is None else None
    if decimal is None and power is None:
        raise InvalidRequest("unable to parse quantity's suffix")
    exponent = int(power[1]) if power else decimal or 0
    scale = exponent - len(fraction)
    if _is_plain_decimal(digits, scale):
        return text
    value = _rounded(int(digits) * Fraction(10) ** scale)
    number = _decimal(value, with_exponent=power is not None)
    return number if number == "0" else sign.strip("+") + number


def _is_plain_binary(whole: str, exponent: int) -> bool:
    """Whether it stays as it is: not a multiple of 8 of its unit, and surely within 63 bits."""
    room = _MOST_BINARY_DIGITS - len(whole) - exponent * 3 // 10 - 1
    return room >= 0 and int(whole) & 7 != 0


def _is_plain_decimal(digits: str, scale: int) -> bool:
    if len(digits) > _MOST_DIGITS or scale < -9:
        return False
    return scale % 3 == 0 and not digits.endswith("000") and digits[0] != "0"


def _rounded(value: Fraction) -> Fraction:
    """Up to a billionth."""
    return Fraction(ceil(value * _NANO), _NANO)


def _binary(value: Fraction) -> str:
    if value < 1024 or value.denominator != 1:
        return _decimal(value, with_exponent=False)
    number, step = int(value), 0
    while number >= 1024 and number % 1024 == 0:
        number, step = number // 1024, step + 1
    return f"{number}{['', *_BINARY][step]}"


def _decimal(value: Fraction, *, with_exponent: bool) -> str:
    if not value:
        return "0"
    number, exponent = int(value * _NANO), -9
    while number % 10 == 0:
        number, exponent = number // 10, exponent + 1
    while exponent % 3:
        number, exponent = number * 10, exponent - 1
    if with_exponent:
        return f"{number}e{exponent}" if exponent else str(number)
    suffixes = {power: suffix for suffix, power in _DECIMAL.items()}
    beyond = max(0, exponent - 18)
    return f"{number * 10**beyond}{suffixes[exponent - beyond]}"
