"""Numbers in options, with the messages of Go's `strconv`, which users see."""

from __future__ import annotations

import math

from croze.errors import InvalidRequest
from croze.gotypes.quote import quote
from croze.patterns import lazy_pattern

_INT = lazy_pattern(r"[+-]?[0-9]+\Z")
_BEGUN = lazy_pattern(r"[+-]?[0-9]+")
_LONGEST = 4000
"""Digits that Python converts; far fewer are too many."""
_FLOAT = lazy_pattern(
    r"[+-]?(?:(?P<dec>(?:[0-9](?:_?[0-9])*\.?(?:[0-9](?:_?[0-9])*)?|\.[0-9](?:_?[0-9])*)"
    r"(?:[eE][+-]?[0-9](?:_?[0-9])*)?)"
    r"|0[xX]_?(?:[0-9a-fA-F](?:_?[0-9a-fA-F])*\.?(?:[0-9a-fA-F](?:_?[0-9a-fA-F])*)?"
    r"|\.[0-9a-fA-F](?:_?[0-9a-fA-F])*)[pP][+-]?[0-9](?:_?[0-9])*"
    r"|(?P<word>(?i:inf|infinity|nan)))\Z"
)
_LITERAL = lazy_pattern(
    r"(?P<sign>[+-]?)(?:0[xX](?P<hex>(?:_?[0-9a-fA-F])+)|0[bB](?P<bin>(?:_?[01])+)"
    r"|0[oO]?(?P<oct>(?:_?[0-7])+)|(?P<dec>0|[1-9](?:_?[0-9])*))\Z"
)
_BASES = {"hex": 16, "bin": 2, "oct": 8, "dec": 10}


def parse_int(text: str, bits: int = 64, *, call: str = "ParseInt") -> int:
    """A decimal number that fits. Raises `InvalidRequest`."""
    if not _INT.match(text):
        begun = _BEGUN.match(text)  # what is too large is so whatever follows
        if begun is not None:
            _fitting(int(begun[0][:_LONGEST]), 64, call, text)
        raise _error(call, text, "invalid syntax")
    return _fitting(int(text[:_LONGEST]), bits, call, text)


def parse_int_literal(text: str) -> int:
    """A number of 64 bits as Go's source has it (`ParseInt` with base 0): `0x1f`, `0o17`, `017`,
    `0b1`, `1_000`. Raises `InvalidRequest`."""
    match = _LITERAL.match(text)
    if match is None:
        raise _error("ParseInt", text, "invalid syntax")
    base = match.lastgroup or "dec"
    return _fitting(int(match["sign"] + match[base], _BASES[base]), 64, "ParseInt", text)


def parse_uint_literal(text: str) -> int:
    """A number as `parse_int_literal` reads it, without sign and with one bit more (`ParseUint`).
    Raises `InvalidRequest`."""
    match = _LITERAL.match(text)
    if match is None or match["sign"]:
        raise _error("ParseUint", text, "invalid syntax")
    base = match.lastgroup or "dec"
    value = int(match[base], _BASES[base])
    if value >= 1 << 64:
        raise _error("ParseUint", text, "value out of range")
    return value


def _fitting(value: int, bits: int, call: str, text: str) -> int:
    if not -(1 << (bits - 1)) <= value < 1 << (bits - 1):
        raise _error(call, text, "value out of range")
    return value


def parse_float(text: str) -> float:
    """A number as Go's source has it, or `inf`, `infinity` and `nan`. Raises `InvalidRequest`."""
    match = _FLOAT.match(text)
    if match is None:
        raise _error("ParseFloat", text, "invalid syntax")
    plain = text.replace("_", "")
    try:
        value = float(plain) if match["dec"] or match["word"] else float.fromhex(plain)
    except OverflowError:
        value = math.inf
    if math.isinf(value) and not match["word"]:
        raise _error("ParseFloat", text, "value out of range")
    return value


def float_text(value: float) -> str:
    """A number as Go's `%v` prints it: with an exponent from a million on, and below a
    ten-thousandth."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    from decimal import Decimal

    digits = Decimal(repr(value)).normalize()
    exponent = digits.adjusted()
    if value == 0 or _LEAST <= exponent < _MOST:
        return f"{digits:f}"
    mantissa = digits.scaleb(-exponent)
    return f"{mantissa:f}e{exponent:+03d}"


_LEAST, _MOST = -4, 6


def float_digits(value: float, letter: str, digits: int | None) -> str:
    """A number as Go's `strconv.FormatFloat` gives it by one of `bgGxXfFeE`: with so many digits,
    or for None as few as tell it from all others (six after the point for `fFeE`)."""
    if math.isnan(value) or math.isinf(value):
        return float_text(value)
    sign = "-" if math.copysign(1, value) < 0 else ""
    match letter:
        case "b":
            return sign + _binary(abs(value))
        case "x":
            return sign + _hexadecimal(abs(value), digits)
        case "X":
            return sign + _hexadecimal(abs(value), digits).upper()
        case "g" | "G" if digits is None:
            text = float_text(value)
            return text.upper() if letter == "G" else text
    return format(value, f".{6 if digits is None else digits}{letter}")


_BITS = 52
"""Bits behind the first of a number of 64."""


def _binary(value: float) -> str:
    """All 53 bits, and the power of two that they are multiplied with."""
    exponent = max(math.frexp(value)[1], -1021) if value else -1021
    return f"{int(math.ldexp(value, 1 + _BITS - exponent))}p{exponent - 1 - _BITS:+d}"


def _hexadecimal(value: float, digits: int | None) -> str:
    fraction, exponent = math.frexp(value)
    bits, exponent = int(math.ldexp(fraction, 1 + _BITS)), exponent - 1 if value else 0
    places = _BITS // 4 if digits is None else min(digits, _BITS // 4)
    bits = _rounded(bits, _BITS - 4 * places)
    whole, rest = divmod(bits, 1 << 4 * places)
    if whole == 2:
        whole, exponent = 1, exponent + 1
    tail = f"{rest:0{places}x}" if places else ""
    tail = tail.rstrip("0") if digits is None else tail.ljust(digits, "0")
    return f"0x{whole}{'.' if tail else ''}{tail}p{exponent:+03d}"


def _rounded(number: int, bits: int) -> int:
    """The number without so many bits; what lies in the middle becomes even."""
    quotient, rest = divmod(number, 1 << bits)
    twice = rest << 1
    return quotient + (twice > 1 << bits or (twice == 1 << bits and quotient % 2 == 1))


def parse_uint(text: str) -> int:
    """A decimal number without sign, of 64 bits. Raises `InvalidRequest`."""
    if not (text.isascii() and text.isdigit()):
        raise _error("ParseUint", text, "invalid syntax")
    value = int(text)
    if value >= 1 << 64:
        raise _error("ParseUint", text, "value out of range")
    return value


def _error(call: str, text: str, what: str) -> InvalidRequest:
    return InvalidRequest(f"strconv.{call}: parsing {quote(text)}: {what}")
