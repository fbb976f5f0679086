"""Go's `Printf` for the verbs that templates use: %v %s %q %d %t %T %f %e %g %x %c %%."""

from __future__ import annotations

import re
from collections.abc import Sequence

from croze.gotypes.quote import quote
from croze.gotypes.template.values import shown, type_name

_VERB = re.compile(
    r"%(?P<flags>[-+# 0]*)(?P<width>\d*)(?:\.(?P<digits>\d*))?(?P<verb>.?)", re.DOTALL
)
MOST_WIDTH = 10_000


def printf(text: str, values: Sequence[object]) -> str:
    """What fits no verb is marked as Go marks it: `%!d(string=x)`, `%!v(MISSING)`."""
    rest = list(values)
    out, at = [], 0
    for verb in _VERB.finditer(text):
        out.append(text[at : verb.start()])
        at = verb.end()
        if verb["verb"] == "%":
            out.append("%")
        elif not verb["verb"]:
            out.append("%!(NOVERB)")
        elif not rest:
            out.append(f"%!{verb['verb']}(MISSING)")
        else:
            out.append(_padded(verb, _one(verb, rest.pop(0))))
    out.append(text[at:])
    if rest:
        extra = ", ".join(f"{type_name(value)}={shown(value, top=False)}" for value in rest)
        out.append(f"%!(EXTRA {extra})")
    return "".join(out)


def _padded(verb: re.Match[str], text: str) -> str:
    width = min(int(verb["width"] or 0), MOST_WIDTH)
    if "-" in verb["flags"]:
        return text.ljust(width)
    if "0" in verb["flags"] and verb["verb"] not in "sqvt":
        sign = text[:1] if text[:1] in ("-", "+") else ""
        return sign + text[len(sign) :].rjust(width - len(sign), "0")
    return text.rjust(width)


def _one(verb: re.Match[str], value: object) -> str:
    letter, digits = verb["verb"], verb["digits"]
    if letter == "v" or (letter == "s" and not isinstance(value, bool | int | float)):
        text = shown(value, top=False)
        return text[: int(digits or 0)] if digits is not None and letter == "s" else text
    if letter == "q" and isinstance(value, str):
        return quote(value)
    if letter == "t" and isinstance(value, bool):
        return shown(value)
    if letter == "T":
        return type_name(value)
    if isinstance(value, int) and not isinstance(value, bool):
        sign = "+" if "+" in verb["flags"] and value >= 0 else ""
        match letter:
            case "d":
                return f"{sign}{value}"
            case "x" | "X" | "o" | "b":
                return format(value, letter)
            case "c":
                return chr(value)
    if isinstance(value, float) and letter in "feEgG":
        return format(value, f".{digits or 6}{letter}" if letter != "g" or digits else "g")
    if isinstance(value, str) and letter in "xX":
        return format(int.from_bytes(value.encode()), letter).rjust(2 * len(value.encode()), "0")
    return f"%!{letter}({type_name(value)}={shown(value, top=False)})"
