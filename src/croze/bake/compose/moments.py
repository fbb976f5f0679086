"""Plain scalars that are moments in YAML, as Docker's tools write them where a text is wanted."""

from __future__ import annotations

import re
from datetime import date
from typing import Final

_MOMENT: Final = re.compile(
    r"(\d{4})-(\d{1,2})-(\d{1,2})"
    r"(?:([Tt ])(\d{1,2}):(\d{1,2}):(\d{1,2})(\.\d{1,9})?(Z|[-+]\d{2}:\d{2})?)?"
)


class Moment(str):
    """A moment, as Go's `time.Time` shows itself. Where a text is wanted, it is none."""


def moment_of(text: str) -> Moment | None:
    """None for a text that is no moment."""
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
    shown = (fraction or "").rstrip("0").rstrip(".")
    offset = "+0000 UTC"
    if zone not in (None, "Z", "+00:00", "-00:00"):
        digits = zone.replace(":", "")
        offset = f"{digits} {digits}"
    time = ":".join(f"{each:02}" for each in clock)
    return Moment(f"{year}-{int(month):02}-{int(day):02} {time}{shown} {offset}")
