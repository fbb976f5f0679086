"""Numbers as text: the shortest decimal that reads back as the same number, and Go's verbs."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

from croze.bake.values.number import Number

_SHORTEST_EXPONENT_LIMIT: Final = 6


def plain(number: Number) -> str:
    """The shortest decimal text without an exponent; `+Inf` and `-Inf` for infinities."""
    if number.infinite:
        return "+Inf" if number.infinite > 0 else "-Inf"
    value = number.value
    if isinstance(value, int) and value.bit_length() < number.precision:
        return "-0" if number.negative_zero else _digits_of(value)
    digits, point = shortest_digits(number)
    return ("-" if number.negative else "") + _fixed(digits, point, max(len(digits) - point, 0))


def _digits_of(value: int) -> str:
    """`str(value)` without the interpreter's limit on digits."""
    if value.bit_length() < 10_000:
        return str(value)
    sign, value = ("-", -value) if value < 0 else ("", value)
    pieces: list[str] = []
    while value:
        value, piece = divmod(value, 10**4000)
        pieces.append(f"{piece:04000d}")
    return sign + "".join(reversed(pieces)).lstrip("0")


def shortest_digits(number: Number) -> tuple[str, int]:
    """The fewest digits d such that 0.d times ten to the power returned rounds to this number."""
    exact = abs(Fraction(number.value))
    if exact == 0:
        return "", 0
    exponent = _binary_exponent(exact)
    half_ulp = Fraction(2) ** (exponent - number.precision - 1)
    even = (exact / (half_ulp * 2)).numerator % 2 == 0
    digits, point = _decimal(exact)
    lower = _aligned(exact - half_ulp, point)
    upper = _aligned(exact + half_ulp, point)
    for i, digit in enumerate(digits):
        low = lower[i] if i < len(lower) else "0"
        high = upper[i] if i < len(upper) else "0"
        down = low != digit or (even and i + 1 == len(lower))
        up = digit != high and (even or chr(ord(digit) + 1) < high or i + 1 < len(upper))
        if down and up:
            return _round_at(digits, point, i + 1)
        if down:
            return _stripped(digits[: i + 1], point)
        if up:
            return _incremented(digits[: i + 1], point)
    return _stripped(digits, point)


def _binary_exponent(value: Fraction) -> int:
    """e with 2**(e-1) <= value < 2**e."""
    guess = value.numerator.bit_length() - value.denominator.bit_length()
    return guess + 1 if value >= Fraction(2) ** guess else guess


def _decimal(value: Fraction) -> tuple[str, int]:
    """All decimal digits of a binary fraction, and where the point stands before them."""
    shift = value.denominator.bit_length() - 1
    digits = _digits_of(value.numerator * 5**shift)
    return digits.rstrip("0"), len(digits) - shift


def _aligned(value: Fraction, point: int) -> str:
    """The digits of the value with the point at a given place."""
    if value <= 0:
        return ""
    digits, own = _decimal(value)
    return "0" * (point - own) + digits if own <= point else digits


def _round_at(digits: str, point: int, keep: int) -> tuple[str, int]:
    if keep >= len(digits):
        return _stripped(digits, point)
    rest = digits[keep:]
    up = rest[0] > "5" or (
        rest[0] == "5" and (len(rest.rstrip("0")) > 1 or int(digits[keep - 1]) % 2 == 1)
    )
    return _incremented(digits[:keep], point) if up else _stripped(digits[:keep], point)


def _incremented(digits: str, point: int) -> tuple[str, int]:
    number = _digits_of(int(digits) + 1).rjust(len(digits), "0")
    return _stripped(number, point + len(number) - len(digits))


def _stripped(digits: str, point: int) -> tuple[str, int]:
    significant = digits.rstrip("0")
    return (significant, point) if significant else ("", 0)


def _fixed(digits: str, point: int, places: int) -> str:
    whole = digits[:point].ljust(point, "0") if point > 0 else "0"
    if places <= 0:
        return whole
    fraction = ("0" * -point + digits if point < 0 else digits[point:]).ljust(places, "0")
    return f"{whole}.{fraction[:places]}"


def _rounded_digits(number: Number, keep: int) -> tuple[str, int]:
    """The number's decimal digits rounded to `keep` of them (half to even)."""
    digits, point = _decimal(abs(Fraction(number.value))) if number.value else ("", 0)
    if keep < 0:
        return "", 0
    if keep == 0:
        half = Fraction(1, 2)
        fraction = abs(Fraction(number.value)) / Fraction(10) ** point
        return ("1", point + 1) if fraction > half else ("", 0)
    return _round_at(digits, point, keep) if len(digits) > keep else (digits, point)


def formatted(number: Number, verb: str, places: int | None) -> str:
    """One of Go's verbs e, E, f, g or G, with so many places or the shortest text."""
    if number.infinite:
        return "+Inf" if number.infinite > 0 else "-Inf"
    sign = "-" if number.negative else ""
    shortest = places is None
    if places is None:
        digits, point = shortest_digits(number)
        places = {"f": max(len(digits) - point, 0)}.get(verb, len(digits) - 1)
    elif verb == "f":
        point = _decimal(abs(Fraction(number.value)))[1] if number.value else 0
        digits, point = _rounded_digits(number, point + places)
    else:
        keep = places + 1 if verb in "eE" else max(places, 1)
        digits, point = _rounded_digits(number, keep)
    if verb == "f":
        return sign + _fixed(digits, point, places)
    if verb in "eE":
        return sign + _scientific(digits, point, max(places, 0), verb)
    return sign + _general(digits, point, shortest, places, verb)


def _general(digits: str, point: int, shortest: bool, places: int, verb: str) -> str:
    limit = _SHORTEST_EXPONENT_LIMIT if shortest else places
    if not shortest and limit > len(digits) >= point:
        limit = len(digits)
    exponent = point - 1
    if exponent < -4 or exponent >= limit:
        return _scientific(digits, point, max(len(digits) - 1, 0), "E" if verb == "G" else "e")
    return _fixed(digits, point, max(len(digits) - point, 0))


def _scientific(digits: str, point: int, places: int, letter: str) -> str:
    first = digits[:1] or "0"
    fraction = digits[1:].ljust(places, "0")[:places]
    exponent = point - 1 if digits else 0
    mantissa = f"{first}.{fraction}" if fraction else first
    return f"{mantissa}{letter}{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
