"""A value by a verb of Go's `Printf`, with its flags, width and precision.

Source: Go `fmt`, its documentation of verbs, flags and errors.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
from msgspec import Struct

from croze.gotypes.numbers import float_digits
from croze.gotypes.quote import quote, quote_char
from croze.gotypes.strings import from_bytes
from croze.gotypes.template.values import (
    MISSING,
    Fields,
    HasMethods,
    Nil,
    is_struct_pointer,
    type_name,
)
from croze.patterns import lazy_pattern

_BASES: Final = {"b": "b", "o": "o", "O": "o", "x": "x", "X": "X", "v": "d", "d": "d"}
_MARKS: Final = {"b": "0b", "x": "0x", "X": "0X"}
_FLOATS: Final = "bgGxXfFeE"
_IS_NO_RAW_STRING: Final = lazy_pattern("[`\x00-\x08\x0a-\x1f\x7f\ufeff\udc80-\udcff]")


class PrintfVerb(Struct, frozen=True):
    """One verb with its flags. `digits` is the precision, None where there is none. What `#` and
    `+` mean for `v` is said by `is_syntax` (Go's) and `has_names` (those of fields); they are not
    among its flags."""

    letter: str
    flags: str = ""
    width: int = 0
    digits: int | None = None
    is_syntax: bool = False
    has_names: bool = False


def verb_of(letter: str, flags: str, width: int, digits: int | None) -> PrintfVerb:
    """The verb. A negative width is the flag `-`."""
    flags += "-" * (width < 0)
    is_any = letter in "vw"
    is_syntax, has_names = is_any and "#" in flags, is_any and "+" in flags
    rest = re.sub("[#+]", "", flags) if is_any else flags
    return PrintfVerb(letter, rest, abs(width), digits, is_syntax, has_names)


def by_verb(verb: PrintfVerb, value: object) -> str:
    """A value by a verb. What fits it not is marked as Go marks it: `%!d(string=x)`."""
    if value is None or value is MISSING:
        return _padded(verb, "<nil>") if verb.letter in "vT" else f"%!{verb.letter}(<nil>)"
    if verb.letter == "T":
        return _text(verb, type_name(value))
    if verb.letter == "p" and _is_pointer(value):
        flags = verb.flags.replace("#", "") if "#" in verb.flags else f"{verb.flags}#"
        return _number(PrintfVerb("x", flags, verb.width, verb.digits), id(value))
    if verb.letter in "pw":
        return _unfit(verb, value)
    return "&" * is_struct_pointer(value) + _one(verb, value)


def _is_pointer(value: object) -> bool:
    return isinstance(value, Mapping | list | tuple | bytes)


def _unfit(verb: PrintfVerb, value: object) -> str:
    as_is = msgspec.structs.replace(verb, letter="v")
    return f"%!{verb.letter}({type_name(value)}={_one(as_is, value)})"


def _one(verb: PrintfVerb, value: object) -> str:
    """The text of a value, of a list or a map that of each member."""
    match value:
        case Fields():
            return _struct(verb, value)
        case Mapping():
            pairs = (f"{_one(verb, key)}:{_member(verb, value[key])}" for key in sorted(value))
            return _several(verb, value, pairs, "map[", "]")
        case bytes() if verb.letter in "sqxX":
            return _string(verb, from_bytes(value)) or ""
        case bytes():
            each = (f"0x{one:x}" if verb.is_syntax else _one(verb, one) for one in value)
            return _several(verb, value, each, "[", "]")
        case list() | tuple():
            return _several(verb, value, (_member(verb, each) for each in value), "[", "]")
    text = _scalar(verb, value)
    return _unfit(verb, value) if text is None else text


def _member(verb: PrintfVerb, value: object) -> str:
    if value is None:
        return "interface {}(nil)" if verb.is_syntax else "<nil>"
    return _one(verb, value)


def _struct(verb: PrintfVerb, value: Fields) -> str:
    is_named = verb.has_names or verb.is_syntax
    members = (
        (f"{name}:" if is_named else "") + _member(verb, each) for name, each in value.items()
    )
    return _several(verb, value, members, "{", "}")


def _several(
    verb: PrintfVerb, value: object, members: Iterable[str], before: str, after: str
) -> str:
    if verb.is_syntax:
        return f"{type_name(value).removeprefix('*')}{{{', '.join(members)}}}"
    return f"{before}{' '.join(members)}{after}"


def _scalar(verb: PrintfVerb, value: object) -> str | None:
    """A single value by a verb; None for a verb that is none of the value's."""
    match value:
        case bool():
            return _padded(verb, "true" if value else "false") if verb.letter in "tv" else None
        case HasMethods() if verb.letter in "svqxX" and not verb.is_syntax:
            return _string(verb, str(value))
        case int():
            return _integer(verb, int(value))
        case float():
            return _float(verb, value)
        case complex():
            return _complex(verb, value)
        case str():
            return _string(verb, value)
        case Nil() if verb.letter == "v" and verb.is_syntax:
            return f"({value.type_name})(nil)"
        case Nil() if verb.letter in "bodxX":
            return _integer(verb, 0)
    return _padded(verb, str(value)) if verb.letter == "v" else None


def _padded(verb: PrintfVerb, text: str) -> str:
    """On the left with zeros, too, if the verb has them."""
    if "-" in verb.flags:
        return text.ljust(verb.width)
    return text.rjust(verb.width, "0" if "0" in verb.flags else " ")


def _padded_blank(verb: PrintfVerb, text: str) -> str:
    return text.ljust(verb.width) if "-" in verb.flags else text.rjust(verb.width)


# -- numbers --


def _sign(verb: PrintfVerb, *, is_negative: bool) -> str:
    if is_negative:
        return "-"
    return "+" if "+" in verb.flags else " " if " " in verb.flags else ""


def _integer(verb: PrintfVerb, value: int) -> str | None:
    if verb.letter in _BASES:
        return _number(verb, value)
    match verb.letter:
        case "c":
            return _padded(verb, _character(value))
        case "q":
            return _padded(verb, quote_char(_character(value), is_ascii="+" in verb.flags))
        case "U":
            char = _character(value) if 0 <= value < 0x110000 else ""
            tail = f" '{char}'" if "#" in verb.flags and char.isprintable() and char else ""
            digits = format(value % (1 << 64), "X").rjust(max(4, verb.digits or 0), "0")
            return _padded_blank(verb, f"U+{digits}{tail}")
    return None


def _number(verb: PrintfVerb, value: int) -> str:
    if verb.digits == 0 and value == 0:
        return " " * verb.width
    sign = _sign(verb, is_negative=value < 0)
    least = verb.digits
    if least is None and "0" in verb.flags and "-" not in verb.flags:
        least = verb.width - len(sign)
    digits = format(abs(value), _BASES[verb.letter]).rjust(least or 0, "0")
    mark = _MARKS.get(verb.letter, "") if "#" in verb.flags else ""
    if verb.letter in "oO" and "#" in verb.flags and digits[0] != "0":
        mark = "0"
    if verb.letter == "O":
        mark = "0o" + mark
    return _padded_blank(verb, sign + mark + digits)


def _character(value: int) -> str:
    return chr(value) if 0 <= value < 0xD800 or 0xE000 <= value < 0x110000 else "\ufffd"


def _float(verb: PrintfVerb, value: float) -> str | None:
    letter = "g" if verb.letter == "v" else verb.letter
    if letter not in _FLOATS:
        return None
    digits = 6 if verb.digits is None and letter in "fFeE" else verb.digits
    text = float_digits(value, letter, digits)
    is_negative, text = text.startswith("-"), text.lstrip("+-")
    sign = _sign(verb, is_negative=is_negative)
    if text in ("Inf", "NaN"):
        return _padded_blank(verb, (sign or ("+" if text == "Inf" else "")) + text)
    if "#" in verb.flags and letter != "b":
        text = _with_point(text, letter, digits)
    if sign and "0" in verb.flags and "-" not in verb.flags:
        return sign + text.rjust(verb.width - 1, "0")
    return _padded(verb, sign + text)


def _with_point(text: str, letter: str, digits: int | None) -> str:
    """What `#` makes of a number: it always has a point, and of `g` and `x` all digits."""
    at = max(text.find(one) for one in ("pP" if letter in "xX" else "eE"))
    mantissa, tail = (text[:at], text[at:]) if at >= 0 else (text, "")
    least = (6 if digits is None else digits) if letter in "gGx" else 0
    significant = mantissa.replace(".", "").lstrip("0")
    if "." not in mantissa:
        least -= mantissa == "0"
        mantissa += "."
    return mantissa + "0" * (least - len(significant)) + tail


def _complex(verb: PrintfVerb, value: complex) -> str | None:
    if verb.letter not in _FLOATS + "v":
        return None
    signed = PrintfVerb(verb.letter, verb.flags + "+", verb.width, verb.digits)
    return f"({_float(verb, value.real)}{_float(signed, value.imag)}i)"


# -- text --


def _string(verb: PrintfVerb, value: str) -> str | None:
    if verb.letter == "q" or verb.is_syntax:
        return _padded(verb, _quoted(verb, _cut(verb, value)))
    match verb.letter:
        case "s" | "v":
            return _text(verb, value)
        case "x" | "X":
            return _hexadecimal(verb, value.encode(errors="surrogateescape"))
    return None


def _text(verb: PrintfVerb, text: str) -> str:
    return _padded(verb, _cut(verb, text))


def _cut(verb: PrintfVerb, text: str) -> str:
    """The text, no longer than the verb's precision if it has one."""
    return text if verb.digits is None else text[: verb.digits]


def _quoted(verb: PrintfVerb, text: str) -> str:
    if "#" in verb.flags and not _IS_NO_RAW_STRING.search(text):
        return f"`{text}`"
    return quote(text, is_ascii="+" in verb.flags)


def _hexadecimal(verb: PrintfVerb, data: bytes) -> str:
    data = data if verb.digits is None else data[: verb.digits]
    mark = f"0{verb.letter}" if "#" in verb.flags and data else ""
    digits = data.hex(" ") if " " in verb.flags else data.hex()
    digits = digits.upper() if verb.letter == "X" else digits
    return _padded(verb, mark + digits.replace(" ", f" {mark}"))
