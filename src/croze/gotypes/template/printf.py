"""Go's `Printf` for the values of templates.

Source: Go `fmt`, its documentation of verbs, flags, explicit argument indexes and errors.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from croze.gotypes.template.values import shown, type_name
from croze.gotypes.template.verbs import by_verb, verb_of
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
_MOST: Final = 10**6
"""Beyond which Go takes a number for no width: what follows `%` is no verb then."""


class _Arguments:
    """What is to be shown, taken in order or by number."""

    def __init__(self, values: Sequence[object], most: int) -> None:
        self._values = values
        self._most = most
        self._next = 0
        self._in_order = True

    def move(self, number: str | None) -> bool:
        """Go to the argument of that number, if one is given. False, and it stays, if there is
        none."""
        if number is None:
            return True
        self._in_order = False
        index = int(number[:9]) - 1
        if is_there := 0 <= index < len(self._values):
            self._next = index
        return is_there

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
        return value if is_number and isinstance(value, int) and abs(value) <= self._most else None

    def extra(self) -> str:
        """What is left over, as an error; nothing if it is not known what that is."""
        rest = self._values[self._next :] if self._in_order else ()
        values = ", ".join(f"{_typed(value)}{shown(value, top=False)}" for value in rest)
        return f"%!(EXTRA {values})" if rest else ""


def printf(text: str, values: Sequence[object], *, most: int = _MOST) -> str:
    """What fits no verb is marked as Go marks it: `%!d(string=x)`, `%!v(MISSING)`. So is what is
    wider than `most`, a little more or less."""
    arguments = _Arguments(values, most)
    out, at = [], 0
    for match in _VERB.finditer(text):
        if _is_endless(match["width"], most) or _is_endless(match["digits"], most):
            out += [text[at : match.start()], "%!(NOVERB)"]
            at = len(text)
            break
        out += [text[at : match.start()], _formatted(match, arguments)]
        at = match.end()
    return "".join(out) + text[at:] + arguments.extra()


def _is_endless(number: str | None, most: int) -> bool:
    """Whether a number is too large before its last digit: Go's `Printf` looks no further then."""
    before = (number or "")[:-1].lstrip("0")
    return len(before) > len(str(most)) or int(before or 0) > most


def _typed(value: object) -> str:
    return "" if value is None else f"{type_name(value)}="


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
    return problem + by_verb(verb_of(letter, match["flags"], width or 0, digits), arguments.take())
