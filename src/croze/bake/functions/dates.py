"""Points in time, as RFC 3339 writes them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

from croze.bake.functions.date_formats import format_date
from croze.bake.functions.support import amount, function, parameter, text
from croze.bake.functions.surroundings import Surroundings
from croze.bake.hcl.function import ArgumentError, CallError, Function
from croze.bake.values.types import STRING
from croze.bake.values.value import Value, integer, object_value, string
from croze.gotypes.quote import quote

_STAMP: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)", re.ASCII
)
_SEGMENTS: Final = (
    (r"\d{4}", "year"),
    ("-", ""),
    (r"(?:0[1-9]|1[0-2])", "month"),
    ("-", ""),
    (r"(?:0[1-9]|[12]\d|3[01])", "day of month"),
    ("T", ""),
    (r"(?:[01]\d|2[0-3])", "hour"),
    (":", ""),
    (r"[0-5]\d", "minute"),
    (":", ""),
    (r"[0-5]\d(?:\.\d+)?", "second"),
    (r"(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)", "UTC offset"),
)
_INVALID: Final = "not a valid RFC3339 timestamp: "
_DURATION: Final = re.compile(r"([0-9]*)(?:\.([0-9]*))?([^0-9.]*)")
_UNITS: Final = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}


def parse_timestamp(text: str) -> datetime:
    """The time; CallError that says which part is wrong."""
    match = _STAMP.fullmatch(text)
    if match is not None:
        try:
            year, month, day, hour, minute, second = map(int, match.groups()[:6])
            return datetime(year, month, day, hour, minute, second, tzinfo=_zone(match[8]))
        except ValueError:
            pass
    raise CallError(_why_invalid(text))


def _zone(offset: str) -> timezone:
    if offset == "Z":
        return UTC
    hours, minutes = int(offset[1:3]), int(offset[4:6])
    if hours > 23 or minutes > 59:
        raise ValueError(offset)
    delta = timedelta(hours=hours, minutes=minutes)
    return timezone(-delta if offset[0] == "-" else delta)


def _why_invalid(text: str) -> str:
    rest = text
    for pattern, what in _SEGMENTS:
        match = re.match(pattern, rest, re.ASCII)
        if match is not None:
            rest = rest[match.end() :]
        elif what:
            return _INVALID + _bad_segment(rest, what)
        elif pattern == "T":
            return f"{_INVALID}missing required time introducer 'T'"
        elif not rest:
            return f"{_INVALID}end of string where {quote(pattern)} is expected"
        else:
            return f"{_INVALID}found {quote(rest)} where {quote(pattern)} is expected"
    if rest:
        return f"not a valid RFC3339 timestamp: extra text: {quote(rest)}"
    return "not a valid RFC3339 timestamp: day out of range"


def _bad_segment(rest: str, what: str) -> str:
    if not rest:
        return f"end of string before {what}"
    if what in ("hour", "minute") and not re.match(r"\d\d", rest, re.ASCII):
        if re.match(r"\d(?!\d)", rest, re.ASCII):
            return f"{what} must have exactly two digits"
    elif what == "hour":
        return "hour must be between 0 and 23 inclusive"
    return f"cannot use {quote(rest)} as {what}"


def timestamp_text(time: datetime) -> str:
    """RFC 3339 without fractions of a second."""
    plain = f"{time.year:04d}" + time.strftime("-%m-%dT%H:%M:%S")
    offset = time.utcoffset()
    return plain + ("Z" if not offset else time.isoformat()[-6:])


def parse_duration(text: str) -> timedelta:
    """A Go duration like `1h30m`; CallError with Go's words for anything else."""
    sign = -1 if text.startswith("-") else 1
    rest = text[1:] if text[:1] in ("-", "+") else text
    if rest == "0":
        return timedelta()
    if not rest:
        raise CallError(f"time: invalid duration {quote(text)}")
    total = 0
    while rest:
        match = _DURATION.match(rest)
        assert match is not None
        whole, fraction, unit = match.groups()
        if not whole and not fraction:
            raise CallError(f"time: invalid duration {quote(text)}")
        if not unit:
            raise CallError(f"time: missing unit in duration {quote(text)}")
        if unit not in _UNITS:
            raise CallError(f"time: unknown unit {quote(unit)} in duration {quote(text)}")
        scale = _UNITS[unit]
        digits = (fraction or "")[:30]
        total += int((whole or "0")[:30]) * scale + int(digits or 0) * scale // 10 ** len(digits)
        rest = rest[match.end() :]
    if total >= 2**63:
        raise CallError(f"time: invalid duration {quote(text)}")
    # Fractions of a second are not shown, but they carry.
    return timedelta(seconds=sign * (total // 10**9), microseconds=sign * (total % 10**9) / 1000)


def _time_add(args: Sequence[Value]) -> Value:
    time = parse_timestamp(args[0].text)
    try:
        return string(timestamp_text(time + parse_duration(args[1].text)))
    except OverflowError:
        raise CallError("the result is out of range") from None


def _unix_time(value: Value, index: int) -> datetime:
    number = value.number
    if not number.is_whole:
        raise ArgumentError(index, "unix timestamp must be an integer")
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=number.truncated())
    except OverflowError:
        raise ArgumentError(index, "unix timestamp is out of range") from None


def _unix_text(time: datetime) -> str:
    return str(int((time - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() // 1))


def _format_timestamp(args: Sequence[Value]) -> Value:
    layout, moment = args[0].text, args[1]
    if moment.kind == "number":
        time = _unix_time(moment, 1)
    elif moment.kind == "string":
        try:
            time = parse_timestamp(moment.text)
        except CallError as error:
            detail = "timestamp string must be RFC3339" if layout == "X" else str(error)
            raise ArgumentError(1, detail) from None
    else:
        raise ArgumentError(1, "must be a string timestamp or a unix timestamp number")
    return string(_unix_text(time) if layout == "X" else format_date(layout, time))


def _format_date(args: Sequence[Value]) -> Value:
    try:
        time = parse_timestamp(args[1].text)
    except CallError as error:
        raise ArgumentError(1, str(error)) from None
    return string(format_date(args[0].text, time))


def _unix_parse(args: Sequence[Value]) -> Value:
    time = _unix_time(args[0], 0)
    iso_year, iso_week, _ = time.isocalendar()
    return object_value(
        {
            "year": integer(time.year),
            "year_day": integer(time.timetuple().tm_yday),
            "day": integer(time.day),
            "month": integer(time.month),
            "month_name": string(format_date("MMMM", time)),
            "weekday": integer((time.weekday() + 1) % 7),
            "weekday_name": string(format_date("EEEE", time)),
            "hour": integer(time.hour),
            "minute": integer(time.minute),
            "second": integer(time.second),
            "rfc3339": string(timestamp_text(time)),
            "iso_year": integer(iso_year),
            "iso_week": integer(iso_week),
        }
    )


def _timestamp(surroundings: Surroundings) -> Callable[[Sequence[Value]], Value]:
    return lambda _: string(timestamp_text(surroundings.now()))


def functions(surroundings: Surroundings) -> Mapping[str, Function]:
    return {
        "formatdate": function(_format_date, text("format"), text("time"), returns=STRING),
        "formattimestamp": function(
            _format_timestamp, text("format"), parameter("time"), returns=STRING
        ),
        "timeadd": function(_time_add, text("timestamp"), text("duration"), returns=STRING),
        "timestamp": function(_timestamp(surroundings), returns=STRING),
        "unixtimestampparse": function(_unix_parse, amount("unix_timestamp")),
    }
