"""Times: nanoseconds since 1970, or those with a time zone and a layout."""

from __future__ import annotations

import calendar
from datetime import UTC, datetime, timedelta, tzinfo

from croze.gotypes.duration import DurationError, parse_duration
from croze.rego.builtins.layouts import DAYS, NAMED, at, format_time, ns_of, parse_time
from croze.rego.builtins.operands import integer, string
from croze.rego.errors import FunctionError
from croze.rego.functions import RegoSurroundings
from croze.rego.values import Value

_MOST = 1 << 63


def now(world: RegoSurroundings) -> Value:
    """The time, in nanoseconds since 1970, which does not pass during an evaluation."""
    return world.now_ns


def _valid(ns: int) -> Value:
    if not -_MOST <= ns < _MOST:
        raise FunctionError("time outside of valid range")
    return ns


def parse_ns(layout: Value, text: Value) -> Value:
    format = string(layout)
    return _valid(parse_time(NAMED.get(format, format), string(text)))


def parse_rfc3339(text: Value) -> Value:
    return parse_ns("RFC3339", text)


def duration_ns(text: Value) -> Value:
    try:
        return parse_duration(string(text))
    except DurationError as error:
        raise FunctionError(str(error)) from None


def _moment(value: Value) -> tuple[int, tzinfo, str]:
    """Nanoseconds, zone and layout of a number, or of an array of these."""
    if not isinstance(value, tuple):
        return _valid_ns(value), UTC, ""
    if not value:
        raise FunctionError("either number (ns) or [number (ns), string (tz)]")
    zone = _zone(string(value[1])) if len(value) > 1 else UTC
    return _valid_ns(value[0]), zone, string(value[2]) if len(value) > 2 else ""


def _valid_ns(value: Value) -> int:
    ns = integer(value)
    _valid(ns)
    return ns


def _zone(name: str) -> tzinfo:
    if name in ("", "UTC"):
        return UTC
    if name == "Local":
        return datetime.now().astimezone().tzinfo or UTC
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        raise FunctionError(f"unknown time zone {name}") from None


def formatted(value: Value) -> Value:
    ns, zone, layout = _moment(value)
    return format_time(ns, zone, NAMED.get(layout or "RFC3339Nano", layout))


def date(value: Value) -> Value:
    ns, zone, _ = _moment(value)
    moment = at(ns, zone)
    return moment.year, moment.month, moment.day


def clock(value: Value) -> Value:
    ns, zone, _ = _moment(value)
    moment = at(ns, zone)
    return moment.hour, moment.minute, moment.second


def weekday(value: Value) -> Value:
    ns, zone, _ = _moment(value)
    return DAYS[at(ns, zone).weekday()]


def add_date(value: Value, years: Value, months: Value, days: Value) -> Value:
    """Days that a month doesn't have run over into the next."""
    ns, zone, _ = _moment(value)
    moment = at(ns, zone)
    total = moment.year * 12 + moment.month - 1 + integer(years) * 12 + integer(months)
    try:
        first = moment.replace(year=total // 12, month=total % 12 + 1, day=1)
        moved = first + timedelta(days=moment.day - 1 + integer(days))
    except (ValueError, OverflowError):
        raise FunctionError("time outside of valid range") from None
    return _valid(ns_of(moved) + ns % 10**9)


def diff(left: Value, right: Value) -> Value:
    """Years, months, days, hours, minutes and seconds between two times."""
    (one, zone, _), (other, _, _) = _moment(left), _moment(right)
    early, late = (at(ns, zone) for ns in sorted((one, other)))
    fields = [
        late.year - early.year,
        late.month - early.month,
        late.day - early.day,
        late.hour - early.hour,
        late.minute - early.minute,
        late.second - early.second,
    ]
    days = calendar.monthrange(early.year, early.month)[1]
    for index, size in ((5, 60), (4, 60), (3, 24), (2, days), (1, 12)):
        if fields[index] < 0:
            fields[index] += size
            fields[index - 1] -= 1
    return tuple(fields)
