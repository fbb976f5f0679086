"""Go's `Printf` for the verbs that templates use: %v %s %q %d %t %T %f %e %g %x %c %%."""

from __future__ import annotations

import re
from collections.abc import Sequence

from croze.gotypes.quote import quote
from croze.gotypes.template.values import shown, type_name
from croze.patterns import lazy_pattern

_VERB = lazy_pattern(
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
    letter = verb["verb"]
    if letter == "T":
        return type_name(value)
    if letter == "v":
        return shown(value, top=False)
    match value:
        case bool():
            text = shown(value) if letter == "t" else None
        case int():
            text = _integer(verb, value)
        case float():
            text = _float(verb, value)
        case str():
            text = _string(verb, value)
        case bytes() if letter in "sqxX":
            text = _string(verb, value.decode(errors="replace"))
        case _:
            text = _cut(verb, shown(value, top=False)) if letter == "s" else None
    return f"%!{letter}({type_name(value)}={shown(value, top=False)})" if text is None else text


def _integer(verb: re.Match[str], value: int) -> str | None:
    match verb["verb"]:
        case "d":
            sign = "+" if "+" in verb["flags"] and value >= 0 else ""
            return f"{sign}{value}"
        case "x" | "X" | "o" | "b" as letter:
            return format(value, letter)
        case "c":
            return chr(value)
    return None


def _float(verb: re.Match[str], value: float) -> str | None:
    letter, digits = verb["verb"], verb["digits"]
    if letter not in "feEgG":
        return None
    return format(value, f".{digits or 6}{letter}" if letter != "g" or digits else "g")


def _string(verb: re.Match[str], value: str) -> str | None:
    match verb["verb"]:
        case "s":
            return _cut(verb, shown(value, top=False))
        case "q":
            return quote(value)
        case "x" | "X" as letter:
            data = value.encode().hex()
            return data.upper() if letter == "X" else data
    return None


def _cut(verb: re.Match[str], text: str) -> str:
    """The text, no longer than the verb's precision if it has one."""
    return text if verb["digits"] is None else text[: int(verb["digits"] or 0)]
