"""Points in time, as RFC 3339 writes them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from croze.bake.functions import instants
from croze.bake.functions.date_formats import format_date
from croze.bake.functions.instants import Instant
from croze.bake.functions.support import amount, function, parameter, text
from croze.bake.functions.surroundings import Surroundings
from croze.bake.hcl.function import ArgumentError, CallError, Function
from croze.bake.values.types import STRING
from croze.bake.values.value import Value, integer, object_value, string
from croze.gotypes.quote import quote

_LEAST: Final = -(2**63)
_MOST: Final = 2**63 - 1
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


def parse_duration(text: str) -> int:
    """Nanoseconds of a Go duration like `1h30m`; CallError with Go's words for anything else."""
    sign = -1 if text.startswith("-") else 1
    rest = text[1:] if text[:1] in ("-", "+") else text
    if rest == "0":
        return 0
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
    return sign * total


def _time_add(args: Sequence[Value]) -> Value:
    return string(str(instants.parse(args[0].text).later(parse_duration(args[1].text))))


def _unix_time(value: Value, index: int) -> Instant:
    number = value.number
    if not number.is_whole or not _LEAST <= number.truncated() <= _MOST:
        raise ArgumentError(index, "unix timestamp must be an integer")
    return instants.at(number.truncated())


def _format_timestamp(args: Sequence[Value]) -> Value:
    layout, moment = args[0].text, args[1]
    if moment.kind not in ("number", "string"):
        raise ArgumentError(1, "must be a string timestamp or a unix timestamp number")
    is_number = moment.kind == "number"
    written = str(_unix_time(moment, 1)) if is_number else moment.text
    if layout == "X" and is_number:
        return string(str(moment.number.truncated()))
    try:
        time = instants.parse(written, strict=layout != "X")
    except CallError as error:
        detail = "timestamp string must be RFC3339" if layout == "X" else str(error)
        raise ArgumentError(1, detail) from None
    return string(str(time.unix_s) if layout == "X" else format_date(layout, time))


def _format_date(args: Sequence[Value]) -> Value:
    try:
        time = instants.parse(args[1].text)
    except CallError as error:
        raise ArgumentError(1, str(error)) from None
    return string(format_date(args[0].text, time))


def _unix_parse(args: Sequence[Value]) -> Value:
    time = _unix_time(args[0], 0)
    iso_year, iso_week = time.iso_week
    return object_value(
        {
            "year": integer(time.year),
            "year_day": integer(time.day_of_year),
            "day": integer(time.day),
            "month": integer(time.month),
            "month_name": string(format_date("MMMM", time)),
            "weekday": integer(time.weekday),
            "weekday_name": string(format_date("EEEE", time)),
            "hour": integer(time.hour),
            "minute": integer(time.minute),
            "second": integer(time.second),
            "rfc3339": string(str(time)),
            "iso_year": integer(iso_year),
            "iso_week": integer(iso_week),
        }
    )


def _timestamp(surroundings: Surroundings) -> Callable[[Sequence[Value]], Value]:
    return lambda _: string(str(instants.at(int(surroundings.now().timestamp()))))


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
