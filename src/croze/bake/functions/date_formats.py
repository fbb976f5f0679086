"""The format language of `formatdate`: runs of a letter are verbs, quotes enclose literal text."""

from __future__ import annotations

import re
from typing import Final

from croze.bake.functions.instants import Instant
from croze.bake.hcl.function import ArgumentError
from croze.gotypes.quote import quote

_MONTHS: Final = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
_DAYS: Final = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]
_PIECES: Final = re.compile(r"'(?:[^']|'')*(?:'|\Z)|([A-Za-z])\1*|[^A-Za-z']+")
_PROBLEMS: Final = {
    "Y": 'year must either be "YY" or "YYYY"',
    "M": 'month must be "M", "MM", "MMM", or "MMMM"',
    "D": 'day of month must either be "D" or "DD"',
    "E": 'day of week must either be "EEE" or "EEEE"',
    "h": '24-hour must either be "h" or "hh"',
    "H": '12-hour must either be "H" or "HH"',
    "A": 'must be "AA"',
    "a": 'must be "aa"',
    "m": 'minute must either be "m" or "mm"',
    "s": 'second must either be "s" or "ss"',
    "Z": "timezone must be Z, ZZZZ, or ZZZZZ",
}


def format_date(layout: str, time: Instant) -> str:
    out: list[str] = []
    for match in _PIECES.finditer(layout):
        piece = match.group()
        if piece[0] == "'":
            out.append(_literal(piece))
        elif match[1]:
            out.append(_verb(piece, time))
        else:
            out.append(piece)
    return "".join(out)


def _literal(piece: str) -> str:
    if len(piece) == 1 or not piece.endswith("'"):
        raise ArgumentError(0, "unterminated literal '")
    return "'" if piece == "''" else piece[1:-1].replace("''", "'")


def _verb(verb: str, time: Instant) -> str:
    form = _forms(verb[0], time).get(len(verb))
    if form is not None:
        return form
    problem = _PROBLEMS.get(verb[0])
    detail = f"invalid date format verb {quote(verb)}"
    raise ArgumentError(0, f"{detail}: {problem}" if problem else detail)


def _two_forms(value: int) -> dict[int, str]:
    return {1: str(value), 2: f"{value:02d}"}


def _forms(letter: str, time: Instant) -> dict[int, str]:
    """What a letter means, by how often it is repeated."""
    match letter:
        case "Y":
            return {2: f"{time.year % 100:02d}", 4: f"{time.year:04d}"}
        case "M":
            name = _MONTHS[time.month - 1]
            return _two_forms(time.month) | {3: name[:3], 4: name}
        case "D":
            return _two_forms(time.day)
        case "E":
            name = _DAYS[time.weekday]
            return {3: name[:3], 4: name}
        case "h":
            return _two_forms(time.hour)
        case "H":
            return _two_forms(time.hour % 12 or 12)
        case "A" | "a":
            half = "AM" if time.hour < 12 else "PM"
            return {2: half if letter == "A" else half.lower()}
        case "m":
            return _two_forms(time.minute)
        case "s":
            return _two_forms(time.second)
        case "Z":
            colon = time.offset
            plain = colon.replace(":", "")
            utc = plain == "+0000"
            return {1: "Z" if utc else colon, 3: "UTC" if utc else plain, 4: plain, 5: colon}
    return {}
