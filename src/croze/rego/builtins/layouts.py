"""Times as text, by Go's layouts: `2006-01-02T15:04:05Z07:00`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone, tzinfo

from croze.rego.errors import FunctionError

NAMED = {
    "ANSIC": "Mon Jan _2 15:04:05 2006",
    "UnixDate": "Mon Jan _2 15:04:05 MST 2006",
    "RubyDate": "Mon Jan 02 15:04:05 -0700 2006",
    "RFC822": "02 Jan 06 15:04 MST",
    "RFC822Z": "02 Jan 06 15:04 -0700",
    "RFC850": "Monday, 02-Jan-06 15:04:05 MST",
    "RFC1123": "Mon, 02 Jan 2006 15:04:05 MST",
    "RFC1123Z": "Mon, 02 Jan 2006 15:04:05 -0700",
    "RFC3339": "2006-01-02T15:04:05Z07:00",
    "RFC3339Nano": "2006-01-02T15:04:05.999999999Z07:00",
}
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July", "August"),
    *("September", "October", "November", "December"),
)
_PART = re.compile(
    "January|Jan(?![a-z])|Monday|Mon(?![a-z])|MST|2006|__2|002|01|02|03|04|05|06|_2|15|PM|pm"
    "|Z07:00:00|Z070000|Z07:00|Z0700|Z07|-07:00:00|-070000|-07:00|-0700|-07"
    r"|[.,](?:0+|9+)(?!\d)|1|2|3|4|5"
)
_READS: Mapping[str, str] = {
    "2006": r"(?P<year>\d{4})",
    "06": r"(?P<short_year>\d{2})",
    "01": r"(?P<month>\d{2})",
    "1": r"(?P<month>\d{1,2})",
    "02": r"(?P<day>\d{1,2})",
    "2": r"(?P<day>\d{1,2})",
    "_2": r" ?(?P<day>\d{1,2})",
    "002": r"(?P<year_day>\d{3})",
    "__2": r" {0,2}(?P<year_day>\d{1,3})",
    "15": r"(?P<hour>\d{2})",
    "03": r"(?P<hour>\d{2})",
    "3": r"(?P<hour>\d{1,2})",
    "04": r"(?P<minute>\d{2})",
    "4": r"(?P<minute>\d{1,2})",
    "05": r"(?P<second>\d{2})(?P<fraction>[.,]\d+)?",
    "5": r"(?P<second>\d{1,2})(?P<fraction>[.,]\d+)?",
    "PM": "(?P<half>[AP]M)",
    "pm": "(?P<half>[ap]m)",
    "January": "(?P<month_name>[A-Za-z]+)",
    "Jan": "(?P<month_name>[A-Za-z]{3})",
    "Monday": "[A-Za-z]+",
    "Mon": "[A-Za-z]{3}",
    "MST": "(?P<zone>UTC|[A-Z]{3,5}(?:[-+][0-9]{1,2})?)",
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def format_time(ns: int, zone: tzinfo, layout: str) -> str:
    moment = at(ns, zone)
    fraction = f"{ns % 10**9:09d}"
    return _PART.sub(lambda match: _shown(match[0], moment, fraction), layout)


def at(ns: int, zone: tzinfo) -> datetime:
    """The whole second in which a time lies, in a zone. Raises `FunctionError` when it is too far
    away."""
    try:
        return (_EPOCH + timedelta(seconds=ns // 10**9)).astimezone(zone)
    except (OverflowError, ValueError):
        raise FunctionError("time outside of valid range") from None


def ns_of(moment: datetime) -> int:
    """Nanoseconds since 1970, for a whole second."""
    since = moment - _EPOCH
    return (since.days * 86400 + since.seconds) * 10**9


def _shown(part: str, moment: datetime, fraction: str) -> str:
    hour = moment.hour % 12 or 12
    simple = {
        "2006": f"{moment.year:04d}",
        "06": f"{moment.year % 100:02d}",
        "January": MONTHS[moment.month - 1],
        "Jan": MONTHS[moment.month - 1][:3],
        "01": f"{moment.month:02d}",
        "1": str(moment.month),
        "Monday": DAYS[moment.weekday()],
        "Mon": DAYS[moment.weekday()][:3],
        "02": f"{moment.day:02d}",
        "_2": f"{moment.day:2d}",
        "2": str(moment.day),
        "002": f"{moment.timetuple().tm_yday:03d}",
        "__2": f"{moment.timetuple().tm_yday:3d}",
        "15": f"{moment.hour:02d}",
        "03": f"{hour:02d}",
        "3": str(hour),
        "04": f"{moment.minute:02d}",
        "4": str(moment.minute),
        "05": f"{moment.second:02d}",
        "5": str(moment.second),
        "PM": "PM" if moment.hour >= 12 else "AM",
        "pm": "pm" if moment.hour >= 12 else "am",
        "MST": moment.tzname() or "UTC",
    }
    if part in simple:
        return simple[part]
    if part[0] in ".,":
        digits = fraction[: len(part) - 1]
        if part[1] == "0":
            return part[0] + digits
        digits = digits.rstrip("0")
        return part[0] + digits if digits else ""
    return _offset(part, moment)


def _offset(part: str, moment: datetime) -> str:
    seconds = int((moment.utcoffset() or timedelta()).total_seconds())
    if part[0] == "Z" and not seconds:
        return "Z"
    sign = "-" if seconds < 0 else "+"
    minutes, rest = divmod(abs(seconds), 60)
    fields = [f"{minutes // 60:02d}", f"{minutes % 60:02d}", f"{rest:02d}"]
    digits = sum(char.isdigit() for char in part)
    return sign + (":" if ":" in part else "").join(fields[: digits // 2])


def parse_time(layout: str, text: str) -> int:
    """The nanoseconds since 1970 that a text says. Raises `FunctionError`."""
    match = re.fullmatch(_expression(layout), text, re.ASCII)
    if match is None:
        raise FunctionError(f'parsing time "{text}" as "{layout}"')
    fields = {key: value for key, value in match.groupdict().items() if value}
    fraction = fields.get("fraction", "").lstrip(".,")[:9].ljust(9, "0")
    try:
        return ns_of(_moment(fields)) + int(fraction)
    except (ValueError, OverflowError):
        raise FunctionError(f'parsing time "{text}": out of range') from None


def _expression(layout: str) -> str:
    """What reads the layout; a part that comes twice is read once."""
    out: list[str] = []
    seen: set[str] = set()
    end = 0
    for match in _PART.finditer(layout):
        out.append(re.escape(layout[end : match.start()]))
        end = match.end()
        part = _reads(match[0])
        names = set(re.findall(r"\?P<(\w+)>", part))
        if names & seen:
            raise FunctionError("a part of the layout comes twice")
        seen |= names
        out.append(part)
    return "".join(out) + re.escape(layout[end:])


def _reads(part: str) -> str:
    if part in _READS:
        return _READS[part]
    if part[0] in ".,":
        digits = "[0-9]" * (len(part) - 1)
        # a layout's seconds have taken the fraction already
        return "" if part[1] == "9" else f"(?:[.,]{digits})?"
    count = sum(char.isdigit() for char in part)
    colon = ":" if ":" in part else ""
    offset = r"[-+]\d{2}" + (colon + r"\d{2}") * (count // 2 - 1)
    return f"(?P<offset>Z|{offset})" if part[0] == "Z" else f"(?P<offset>{offset})"


def _moment(fields: Mapping[str, str]) -> datetime:
    year = int(fields.get("year", 0))
    if "short_year" in fields:
        short = int(fields["short_year"])
        year = short + (1900 if short >= 69 else 2000)
    hour = int(fields.get("hour", 0))
    if "half" in fields:
        hour = hour % 12 + (12 if fields["half"].upper() == "PM" else 0)
    moment = datetime(
        year or 1,
        _month(fields),
        int(fields.get("day", 1)),
        hour,
        int(fields.get("minute", 0)),
        int(fields.get("second", 0)),
        tzinfo=_zone(fields.get("offset", "")),
    )
    if "year_day" in fields:
        moment = moment.replace(month=1, day=1) + timedelta(days=int(fields["year_day"]) - 1)
    if not year:
        raise ValueError("no year")
    return moment


def _month(fields: Mapping[str, str]) -> int:
    if "month_name" not in fields:
        return int(fields.get("month", 1))
    lowered = fields["month_name"].lower()
    for number, name in enumerate(MONTHS, 1):
        if lowered in (name.lower(), name[:3].lower()):
            return number
    raise ValueError("no month")


def _zone(offset: str) -> tzinfo:
    if offset in ("", "Z"):
        return UTC
    digits = offset[1:].replace(":", "").ljust(6, "0")
    delta = timedelta(hours=int(digits[:2]), minutes=int(digits[2:4]), seconds=int(digits[4:]))
    return timezone(-delta if offset[0] == "-" else delta)
