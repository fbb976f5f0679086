"""Go's `Printf` for the values of templates.

Source: Go `fmt`, its documentation of verbs, flags, explicit argument indexes and errors.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from croze.gotypes.quote import quote, quote_char
from croze.gotypes.strings import from_bytes
from croze.gotypes.template.values import Fields, HasMethods, Nil, shown, type_name
from croze.patterns import lazy_pattern

_NUMBER: Final = r"(?:\[(?P<{0}_at>\d+)\])?(?:(?P<{0}_star>\*)|(?P<{0}>\d*))"
_VERB: Final = lazy_pattern(
    r"%(?P<flags>[-+# 0]*)"
    + _NUMBER.format("width")
    + r"(?:\.(?P<has_digits>)"
    + _NUMBER.format("digits")
    + r")?(?:\[(?P<at>\d+)\])?(?P<verb>.?)",
    re.DOTALL,
)
MOST_WIDTH: Final = 10_000


class _Verb:
    """One verb with its flags. `digits` is None where none are given."""

    def __init__(self, flags: str, width: int, digits: int | None, letter: str) -> None:
        self.flags = flags + "-" * (width < 0)
        self.width = min(abs(width), MOST_WIDTH)
        self.digits = digits
        self.letter = letter


class _Arguments:
    """What is to be shown, taken in order or by number."""

    def __init__(self, values: Sequence[object]) -> None:
        self._values = values
        self._next = 0
        self._in_order = True

    def move(self, number: str | None) -> bool:
        """Go to the argument of that number, if one is given. False if there is none."""
        if number is None:
            return True
        self._in_order = False
        self._next = int(number[:9]) - 1
        return 0 <= self._next < len(self._values)

    @property
    def is_over(self) -> bool:
        return self._next >= len(self._values)

    def take(self) -> object:
        self._next += 1
        return self._values[self._next - 1]

    def number(self) -> int | None:
        """The next as a width or a number of digits; None if it is no such thing."""
        value = None if self.is_over else self.take()
        is_number = isinstance(value, int) and not isinstance(value, bool)
        return value if is_number and isinstance(value, int) and abs(value) <= 10**6 else None

    def extra(self) -> str:
        """What is left over, as an error; nothing if it is not known what that is."""
        rest = self._values[self._next :] if self._in_order else ()
        values = ", ".join(f"{_typed(value)}{shown(value, top=False)}" for value in rest)
        return f"%!(EXTRA {values})" if rest else ""


def printf(text: str, values: Sequence[object]) -> str:
    """What fits no verb is marked as Go marks it: `%!d(string=x)`, `%!v(MISSING)`."""
    arguments = _Arguments(values)
    out, at = [], 0
    for match in _VERB.finditer(text):
        out += [text[at : match.start()], _formatted(match, arguments)]
        at = match.end()
    return "".join(out) + text[at:] + arguments.extra()


def _formatted(match: re.Match[str], arguments: _Arguments) -> str:
    letter, problem = match["verb"], ""
    indexed = arguments.move(match["width_at"])
    width: int | None = int(match["width"] or 0)
    if match["width_star"] and (width := arguments.number()) is None:
        problem += "%!(BADWIDTH)"
    indexed &= arguments.move(match["digits_at"])
    digits = int(match["digits"] or 0) if match["has_digits"] is not None else None
    if match["digits_star"]:
        digits = arguments.number()
        if digits is None or digits < 0:
            problem, digits = problem + "%!(BADPREC)", None
    indexed &= arguments.move(match["at"])
    if not letter:
        return problem + "%!(NOVERB)"
    if letter == "%":
        return problem + "%"
    if not indexed:
        return f"{problem}%!{letter}(BADINDEX)"
    if arguments.is_over:
        return f"{problem}%!{letter}(MISSING)"
    return problem + _one(_Verb(match["flags"], width or 0, digits, letter), arguments.take())


def _padded(verb: _Verb, text: str) -> str:
    if "-" in verb.flags:
        return text.ljust(verb.width)
    if "0" in verb.flags and verb.letter not in "sqvtT":
        sign = text[:1] if text[:1] in ("-", "+") else ""
        return sign + text[len(sign) :].rjust(verb.width - len(sign), "0")
    return text.rjust(verb.width)


def _one(verb: _Verb, value: object) -> str:
    """A value by a verb: of a list or a map each member."""
    if verb.letter == "T":
        return _padded(verb, type_name(value))
    if isinstance(value, Fields):
        names = [f"{name}:" if "+" in verb.flags and verb.letter == "v" else "" for name in value]
        members = zip(names, value.values(), strict=True)
        return f"{{{' '.join(name + _one(verb, each) for name, each in members)}}}"
    if isinstance(value, Mapping):
        each = (f"{_one(verb, key)}:{_one(verb, value[key])}" for key in sorted(value))
        return f"map[{' '.join(each)}]"
    if isinstance(value, bytes) and verb.letter in "sqxX":
        return _padded(verb, _string(verb, from_bytes(value)) or "")
    if isinstance(value, list | tuple | bytes):
        return f"[{' '.join(_one(verb, each) for each in value)}]"
    text = _scalar(verb, value)
    if text is None:
        return f"%!{verb.letter}({_typed(value)}{shown(value, top=False)})"
    return _padded(verb, text)


def _typed(value: object) -> str:
    return "" if value is None else f"{type_name(value)}="


def _scalar(verb: _Verb, value: object) -> str | None:
    """A single value by a verb; None for a verb that is none of the value's."""
    if verb.letter == "v":
        return shown(value, top=False)
    match value:
        case bool():
            return shown(value) if verb.letter in "tv" else None
        case HasMethods() if verb.letter in "sqxX":
            return _string(verb, str(value))
        case int():
            return _integer(verb, int(value))
        case float():
            return _float(verb, value)
        case str():
            return _string(verb, value)
        case Nil() if verb.letter in "bodxX":
            return _integer(verb, 0)
    return None


def _integer(verb: _Verb, value: int) -> str | None:
    sign = "+" if "+" in verb.flags and value >= 0 else ""
    match verb.letter:
        case "d":
            return f"{sign or ' ' * (' ' in verb.flags and value >= 0)}{value}"
        case "x" | "X" | "o" | "b" as letter:
            mark = "#" if "#" in verb.flags else ""
            text = format(value, f"{mark}{letter}")
            return sign + (text.replace("0o", "0") if letter == "o" else text)
        case "O":
            return sign + format(value, "#o")
        case "c":
            return _character(value)
        case "q":
            return quote_char(_character(value))
        case "U":
            shown_char = f" '{_character(value)}'" if "#" in verb.flags else ""
            return f"U+{value:04X}{shown_char}"
    return None


def _character(value: int) -> str:
    return chr(value) if 0 <= value < 0xD800 or 0xE000 <= value < 0x110000 else "\ufffd"


def _float(verb: _Verb, value: float) -> str | None:
    letter, digits = verb.letter, verb.digits
    sign = "+" if "+" in verb.flags and value >= 0 else ""
    if letter == "g" and digits is None:
        return sign + shown(value, top=False)
    if letter not in "feEgGF":
        return None
    return sign + format(value, f".{6 if digits is None else digits}{letter}")


def _string(verb: _Verb, value: str) -> str | None:
    match verb.letter:
        case "s":
            return _cut(verb, value)
        case "q":
            return quote(_cut(verb, value))
        case "x" | "X" as letter:
            data = value.encode(errors="surrogateescape").hex()
            return data.upper() if letter == "X" else data
    return None


def _cut(verb: _Verb, text: str) -> str:
    """The text, no longer than the verb's precision if it has one."""
    return text if verb.digits is None else text[: verb.digits]
