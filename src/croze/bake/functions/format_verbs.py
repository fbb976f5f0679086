"""The verbs of `format`: one value as text, as Go's fmt package would write it."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from croze.bake.hcl.function import CallError
from croze.bake.hcl.graphemes import clusters, count
from croze.bake.values import json, number, number_text
from croze.bake.values.convert import ConversionError, convert
from croze.bake.values.json import JsonError
from croze.bake.values.number import Number
from croze.bake.values.types import BOOL, NUMBER, STRING, Type
from croze.bake.values.value import Value
from croze.gotypes.quote import quote, quote_char

WIDEST: Final = 1_000_000
_PREFIXES: Final = {"b": "0b", "o": "0", "x": "0x", "X": "0X"}


class Verb(Struct, frozen=True):
    """One verb of a format, `%[flags][width][.precision][index]mode`, and its offset there."""

    raw: str
    offset: int
    flags: str
    width: int | None
    precision: int | None
    mode: str

    def fail(self, detail: str) -> CallError:
        return CallError(f"unsupported value for {quote(self.raw)} at {self.offset}: {detail}")


def formatted(verb: Verb, value: Value) -> str:
    if verb.mode != "v" and value.is_null:
        raise verb.fail("null value cannot be formatted")
    if (verb.width or 0) > WIDEST or (verb.precision or 0) > WIDEST:
        raise verb.fail("the result is too long")
    match verb.mode:
        case "v":
            return _as_is(verb, value)
        case "t":
            return "true" if _converted(verb, value, BOOL).is_true else "false"
        case "b" | "d" | "o" | "x" | "X":
            return _integer(verb, _converted(verb, value, NUMBER).number)
        case "e" | "E" | "f" | "g" | "G":
            return _float(verb, _converted(verb, value, NUMBER).number)
        case "s" | "q":
            return _text(verb, _converted(verb, value, STRING).text)
    where = f"{quote(verb.raw)} at offset {verb.offset}"
    raise CallError(f"unsupported format verb {quote_char(verb.mode)} in {where}")


def _converted(verb: Verb, value: Value, want: Type) -> Value:
    try:
        return convert(value, want)
    except ConversionError as error:
        raise verb.fail(str(error)) from None


def _padded(verb: Verb, text: str) -> str:
    missing = (verb.width or 0) - count(text)
    if missing <= 0:
        return text
    pads = ("0" if "0" in verb.flags else " ") * missing
    return text + pads if "-" in verb.flags else pads + text


def _as_is(verb: Verb, value: Value) -> str:
    if "#" not in verb.flags and not value.is_null:
        if value.kind == "string":
            return _padded(verb, value.text)
        if value.kind == "number":
            return _padded(verb, number_text.formatted(value.number, "g", None))
    try:
        return _padded(verb, json.to_json(value))
    except JsonError as error:
        raise verb.fail(str(error)) from None


def _text(verb: Verb, text: str) -> str:
    if verb.precision:
        text = "".join(list(clusters(text))[: verb.precision])
    return _padded(verb, json.quoted(text) if verb.mode == "q" else text)


def _sign(verb: Verb, negative: bool) -> str:
    if negative:
        return "-"
    return "+" if "+" in verb.flags else (" " if " " in verb.flags else "")


def _number(verb: Verb, sign: str, digits: str, zeros: bool) -> str:
    """Sign, digits and padding: zeros go between the two, and not to the right."""
    missing = max((verb.width or 0) - len(sign) - len(digits), 0)
    if "-" in verb.flags:
        return sign + digits + " " * missing
    if "0" in verb.flags and zeros:
        return sign + "0" * missing + digits
    return " " * missing + sign + digits


def _integer(verb: Verb, number: Number) -> str:
    if not number.is_whole:
        raise verb.fail("an integer is required")
    value = number.truncated()
    digits = _digits(abs(value), verb.mode)
    if verb.precision is not None:
        digits = "" if not verb.precision and not value else digits.rjust(verb.precision, "0")
    prefix = _PREFIXES.get(verb.mode, "") if "#" in verb.flags else ""
    return _number(verb, _sign(verb, value < 0) + prefix, digits, verb.precision is None)


def _digits(value: int, mode: str) -> str:
    if mode == "d":
        return number_text.plain(number.from_int(value))
    return format(value, "o" if mode == "o" else mode)


def _float(verb: Verb, number: Number) -> str:
    # Without a precision Go takes six places for e and f, and the shortest text for g.
    default = None if verb.mode in "gG" else 6
    places = default if verb.precision is None else verb.precision
    digits = number_text.formatted(number, verb.mode, places).lstrip("+-")
    return _number(verb, _sign(verb, number.negative), digits, not number.infinite)
