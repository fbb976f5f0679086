"""Points in time in the Gregorian calendar, without an end to their years: what RFC 3339 writes,
and what a number of seconds means."""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

from croze.bake.hcl.function import CallError
from croze.gotypes.quote import quote

_DAY_S: Final = 86_400
_ERA_DAYS: Final = 146_097
"""The days of 400 years: after them the calendar repeats."""
_EPOCH_DAYS: Final = 719_468
"""From the first of March of the year 0 to the first of January 1970."""
_INVALID: Final = "not a valid RFC3339 timestamp"


class Instant(Struct, frozen=True):
    """A date and a time of day, `offset_s` seconds ahead of UTC."""

    year: int
    month: int
    day: int
    hour: int
    minute: int
    second: int
    nanosecond: int = 0
    offset_s: int = 0

    @property
    def days(self) -> int:
        """Days since the first of January 1970."""
        # Years begin in March here, so that the leap day is a year's last.
        year, month = (self.year, self.month - 3) if self.month > 2 else self._last_year()
        era, year_of_era = divmod(year, 400)
        day_of_year = (153 * month + 2) // 5 + self.day - 1
        leaps = year_of_era // 4 - year_of_era // 100
        return era * _ERA_DAYS + year_of_era * 365 + leaps + day_of_year - _EPOCH_DAYS

    def _last_year(self) -> tuple[int, int]:
        return self.year - 1, self.month + 9

    @property
    def unix_s(self) -> int:
        """Seconds since 1970, UTC."""
        in_day = (self.hour * 60 + self.minute) * 60 + self.second
        return self.days * _DAY_S + in_day - self.offset_s

    @property
    def weekday(self) -> int:
        """0 for Sunday."""
        return (self.days + 4) % 7

    @property
    def day_of_year(self) -> int:
        """1 for the first of January."""
        return self.days - Instant(self.year, 1, 1, 0, 0, 0).days + 1

    @property
    def iso_week(self) -> tuple[int, int]:
        """The year and the week that ISO 8601 counts this day to: those of its Thursday."""
        thursday = at((self.days - (self.weekday - 1) % 7 + 3) * _DAY_S)
        return thursday.year, (thursday.day_of_year - 1) // 7 + 1

    @property
    def offset(self) -> str:
        """The distance to UTC, as in `+01:00`."""
        minutes = abs(self.offset_s) // 60
        return f"{'-' if self.offset_s < 0 else '+'}{minutes // 60:02d}:{minutes % 60:02d}"

    def __str__(self) -> str:
        """RFC 3339 without fractions of a second; years may have more digits than it knows."""
        year = f"{'-' if self.year < 0 else ''}{abs(self.year):04d}"
        time = f"{self.hour:02d}:{self.minute:02d}:{self.second:02d}"
        zone = self.offset if self.offset_s else "Z"
        return f"{year}-{self.month:02d}-{self.day:02d}T{time}{zone}"

    def later(self, nanoseconds: int) -> Instant:
        seconds, rest = divmod(self.nanosecond + nanoseconds, 10**9)
        return at(self.unix_s + seconds, rest, self.offset_s)


def at(unix_s: int, nanosecond: int = 0, offset_s: int = 0) -> Instant:
    """The instant so many seconds after 1970 began in UTC."""
    days, in_day = divmod(unix_s + offset_s, _DAY_S)
    era, day = divmod(days + _EPOCH_DAYS, _ERA_DAYS)
    # Leap days are taken out: every 4 years one, none every 100, one every 400.
    year = (day - day // 1460 + day // 36_524 - day // 146_096) // 365
    day -= 365 * year + year // 4 - year // 100
    month = (5 * day + 2) // 153
    day -= (153 * month + 2) // 5 - 1
    year += era * 400 + (month >= 10)
    month += 3 if month < 10 else -9
    minutes, second = divmod(in_day, 60)
    return Instant(year, month, day, minutes // 60, minutes % 60, second, nanosecond, offset_s)


def parse(text: str, strict: bool = True) -> Instant:
    """The time that RFC 3339 writes so; CallError that says which part is wrong. If not `strict`,
    what Go's own parser lets pass besides is taken, too."""
    reader = _Reader(text)
    year = reader.number(r"\d{4}", "year", range(10_000))
    reader.literal("-")
    month = reader.number(r"\d\d", "month", range(1, 13))
    reader.literal("-")
    day = reader.number(r"\d\d", "day of month", range(100))
    reader.literal("T")
    hour = reader.number(r"\d\d?", "hour", range(24))
    reader.literal(":")
    minute = reader.number(r"\d\d", "minute", range(60))
    reader.literal(":")
    second = reader.number(r"\d\d", "second", range(60))
    mark, digits = reader.fraction()
    offset_s, odd_offset = reader.zone()
    if reader.rest:
        raise CallError(f"{_INVALID}: cannot use {quote(reader.rest)} as timestamp segment")
    if not 1 <= day <= _days_in(year, month):
        raise CallError(f"{_INVALID}: day out of range")
    if strict:
        _look_again(text, mark, odd_offset)
    nanosecond = int(digits[:9].ljust(9, "0"))
    return Instant(year, month, day, hour, minute, second, nanosecond, offset_s)


def _look_again(text: str, mark: str, odd_offset: str) -> None:
    if text[12:13] == ":":
        raise CallError(f"{_INVALID}: hour must have exactly two digits")
    if mark == ",":
        raise CallError(f'{_INVALID}: cannot use "," as timestamp segment')
    if odd_offset:
        raise CallError(f"{_INVALID}: cannot use {quote(odd_offset)} as UTC offset")


def _days_in(year: int, month: int) -> int:
    following = (year, month + 1) if month < 12 else (year + 1, 1)
    return Instant(*following, 1, 0, 0, 0).days - Instant(year, month, 1, 0, 0, 0).days


class _Reader:
    """Takes a timestamp apart from the left, in the order in which Go notices what is wrong."""

    def __init__(self, text: str) -> None:
        self.rest = text

    def literal(self, mark: str) -> None:
        if self.rest.startswith(mark):
            self.rest = self.rest[1:]
            return
        if mark == "T":
            raise CallError(f"{_INVALID}: missing required time introducer 'T'")
        place = f"found {quote(self.rest)}" if self.rest else "end of string"
        raise CallError(f"{_INVALID}: {place} where {quote(mark)} is expected")

    def number(self, digits: str, what: str, limits: range) -> int:
        match = re.match(digits, self.rest, re.ASCII)
        if match is None:
            raise _bad(self.rest, what)
        self.rest = self.rest[match.end() :]
        if int(match[0]) not in limits:
            raise _bad(self.rest, what)
        return int(match[0])

    def fraction(self) -> tuple[str, str]:
        """What separates it from the seconds, and its digits."""
        match = re.match(r"([.,])(\d+)", self.rest, re.ASCII)
        if match is None:
            return "", "0"
        self.rest = self.rest[match.end() :]
        return match[1], match[2]

    def zone(self) -> tuple[int, str]:
        """Seconds ahead of UTC; and its text, if it is one that Go alone lets pass."""
        if self.rest.startswith("Z"):
            self.rest = self.rest[1:]
            return 0, ""
        match = re.match(r"([+-])(\d\d):(\d\d)", self.rest, re.ASCII)
        if match is None:
            raise _bad(self.rest, "UTC offset")
        self.rest = self.rest[match.end() :]
        hours, minutes = int(match[2]), int(match[3])
        if hours > 24 or minutes > 60:
            raise _bad(self.rest, "UTC offset")
        offset_s = (hours * 60 + minutes) * 60
        odd = match[0] if hours == 24 or minutes == 60 else ""
        return -offset_s if match[1] == "-" else offset_s, odd


def _bad(rest: str, what: str) -> CallError:
    if not rest:
        return CallError(f"{_INVALID}: end of string before {what}")
    if what == "hour" and ":" in rest:
        return CallError(f"{_INVALID}: hour must be between 0 and 23 inclusive")
    if what in ("hour", "minute") and len(rest.encode()) != 2:
        return CallError(f"{_INVALID}: {what} must have exactly two digits")
    return CallError(f"{_INVALID}: cannot use {quote(rest)} as {what}")
