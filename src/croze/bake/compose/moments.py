"""Plain scalars that are moments in YAML, as Docker's tools write them where a text is wanted."""

from __future__ import annotations

import re
from datetime import date
from typing import Final

_MOMENT: Final = re.compile(
    r"(\d{4})-(\d{1,2})-(\d{1,2})"
    r"(?:([Tt ])(\d{1,2}):(\d{1,2}):(\d{1,2})(?:[.,](\d+))?(Z|[-+]\d{2}:\d{2})?)?",
    re.ASCII,
)
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_MOST_HOURS, _MOST_MINUTES = 24, 60
"""What Go takes for the offset of a zone."""


class Moment(str):
    """A moment, as Go's `time.Time` shows itself. Where a text is wanted, it is none."""

    @property
    def go_syntax(self) -> str:
        """The moment as Go's source has it (`%#v`)."""
        day, clock, _, zone = self.split(" ")
        year, month, date_of_month = map(int, day.split("-"))
        hour, minute, second = clock.partition(".")[0].split(":")
        nanoseconds = int(clock.partition(".")[2].ljust(9, "0"))
        place = "time.UTC" if zone == "UTC" else 'time.Location("")'
        numbers = [date_of_month, int(hour), int(minute), int(second), nanoseconds]
        rest = ", ".join(map(str, numbers))
        return f"time.Date({year}, time.{_MONTHS[month - 1]}, {rest}, {place})"


def moment_of(text: str) -> Moment | None:
    """The moment that a text is; None for a text that is none."""
    match = _MOMENT.fullmatch(text)
    if match is None:
        return None
    year, month, day, between, hour, minute, second, fraction, zone = match.groups()
    # With a blank between date and time there is no zone; with a `T` there must be one.
    if between is not None and (between == " ") == (zone is not None):
        return None
    try:
        date(int(year), int(month), int(day))
    except ValueError:
        return None
    clock = tuple(int(each or 0) for each in (hour, minute, second))
    if clock > (23, 59, 59) or max(clock[1:]) > 59:
        return None
    digits = (fraction or "")[:9].rstrip("0")  # nanoseconds; what is less is left out
    shown = f".{digits}" if digits else ""
    offset = _offset(zone)
    if offset is None:
        return None
    time = ":".join(f"{each:02}" for each in clock)
    return Moment(f"{year}-{int(month):02}-{int(day):02} {time}{shown} {offset}")


def _offset(zone: str | None) -> str | None:
    """The offset and the name of a zone; None for one that there can't be."""
    if zone is None or zone == "Z":
        return "+0000 UTC"
    hours, minutes = int(zone[1:3]), int(zone[4:6])
    if hours > _MOST_HOURS or minutes > _MOST_MINUTES:
        return None
    hours, minutes = divmod(60 * hours + minutes, 60)
    digits = f"{zone[0]}{hours:02}{minutes:02}"
    return f"{digits} {digits}" if hours or minutes else "+0000 UTC"
