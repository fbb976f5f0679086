"""Go's `time.Duration` and `time.Time` in templates: as they print, and their methods.

Source: Go `time` (`Duration`, `Time`, the layouts of `Format`).
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping

from croze.gotypes.duration import format_duration
from croze.gotypes.moments import (
    Stamp,
    local_rfc3339,
    local_text,
    local_time,
    nanoseconds,
)
from croze.gotypes.template.values import HasMethods, TemplateMethod
from croze.patterns import lazy_pattern

_SECOND_NS = 10**9
_ZONE = lazy_pattern(r"([+-])(\d\d):(\d\d)\Z")
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July", "August"),
    *("September", "October", "November", "December"),
)


class GoDuration(int, HasMethods):
    """Nanoseconds; prints as `1m30s`."""

    type_name = "time.Duration"

    def __str__(self) -> str:
        return format_duration(int(self))

    @property
    def plain(self) -> object:
        return int(self)

    def methods(self) -> Mapping[str, TemplateMethod]:
        ns = int(self)
        return {
            "Nanoseconds": TemplateMethod(lambda: ns),
            "Microseconds": TemplateMethod(lambda: _quotient(ns, 10**3)),
            "Milliseconds": TemplateMethod(lambda: _quotient(ns, 10**6)),
            "Seconds": TemplateMethod(lambda: _share(ns, _SECOND_NS)),
            "Minutes": TemplateMethod(lambda: _share(ns, 60 * _SECOND_NS)),
            "Hours": TemplateMethod(lambda: _share(ns, 3600 * _SECOND_NS)),
            "String": TemplateMethod(lambda: str(self)),
            "Abs": TemplateMethod(lambda: GoDuration(abs(ns))),
            "Round": TemplateMethod(lambda to: GoDuration(_rounded(ns, to)), (self.type_name,)),
            "Truncate": TemplateMethod(
                lambda to: GoDuration(_truncated(ns, to)), (self.type_name,)
            ),
        }


class GoTime(str, HasMethods):
    """A moment where we are, or so far from UTC: `2026-01-31 12:00:00.5 +0100 CET`."""

    type_name = "*time.Time"
    stamp: Stamp
    _offset_s: int | None

    def __new__(cls, stamp: Stamp, *, offset_s: int | None = None) -> GoTime:
        own = super().__new__(cls, local_text(stamp, offset_s=offset_s))
        own.stamp, own._offset_s = stamp, offset_s
        return own

    @classmethod
    def parse(cls, text: str) -> GoTime:
        """Read RFC 3339: a time of our own zone if ours is as far from UTC. Raises `ValueError`."""
        from google.protobuf.timestamp_pb2 import Timestamp  # takes its time

        stamp = Timestamp()
        stamp.FromJsonString(text)
        zone = _ZONE.search(text)
        if zone is None:
            return cls(stamp, offset_s=0)
        sign, hours, minutes = zone.groups()
        offset_s = int(f"{sign}1") * (int(hours) * 3600 + int(minutes) * 60)
        is_ours = local_time(stamp).tm_gmtoff == offset_s
        return cls(stamp, offset_s=None if is_ours else offset_s)

    @property
    def plain(self) -> object:
        return local_rfc3339(self.stamp, offset_s=self._offset_s)

    def methods(self) -> Mapping[str, TemplateMethod]:
        here, ns = local_time(self.stamp, offset_s=self._offset_s), nanoseconds(self.stamp)
        other = ("time.Time",)
        return {
            "Year": TemplateMethod(lambda: here.tm_year),
            "Month": TemplateMethod(lambda: _MONTHS[here.tm_mon - 1]),
            "Day": TemplateMethod(lambda: here.tm_mday),
            "Weekday": TemplateMethod(lambda: _DAYS[here.tm_wday]),
            "YearDay": TemplateMethod(lambda: here.tm_yday),
            "Hour": TemplateMethod(lambda: here.tm_hour),
            "Minute": TemplateMethod(lambda: here.tm_min),
            "Second": TemplateMethod(lambda: here.tm_sec),
            "Nanosecond": TemplateMethod(lambda: self.stamp.nanos),
            "Unix": TemplateMethod(lambda: self.stamp.seconds),
            "UnixMilli": TemplateMethod(lambda: ns // 10**6),
            "UnixMicro": TemplateMethod(lambda: ns // 10**3),
            "UnixNano": TemplateMethod(lambda: ns),
            "String": TemplateMethod(lambda: str(self)),
            "UTC": TemplateMethod(lambda: GoTime(self.stamp, offset_s=0)),
            "Local": TemplateMethod(lambda: GoTime(self.stamp)),
            "Format": TemplateMethod(
                lambda text: _formatted(text, here, self.stamp.nanos), ("string",)
            ),
            "Before": TemplateMethod(lambda time: ns < nanoseconds(time.stamp), other),
            "After": TemplateMethod(lambda time: ns > nanoseconds(time.stamp), other),
            "Equal": TemplateMethod(lambda time: ns == nanoseconds(time.stamp), other),
            "Sub": TemplateMethod(lambda time: GoDuration(ns - nanoseconds(time.stamp)), other),
        }


def _quotient(ns: int, unit: int) -> int:
    return ns // unit if ns >= 0 else -(-ns // unit)


def _share(ns: int, unit: int) -> float:
    """How many units a time is, rounded as Go rounds it."""
    whole = _quotient(ns, unit)
    return whole + (ns - whole * unit) / unit


def _truncated(ns: int, to: int) -> int:
    return _quotient(ns, to) * to if to > 0 else ns


def _rounded(ns: int, to: int) -> int:
    """The nearest multiple; halves away from zero."""
    if to <= 0:
        return ns
    nearest = (2 * abs(ns) + to) // (2 * to) * to
    return nearest if ns >= 0 else -nearest


_ELEMENT = lazy_pattern(
    r"January|Jan(?![a-z])|Monday|Mon(?![a-z])|MST|2006|_2(?!006)|__2|002|0[1-6]|15|[1-5]|PM|pm"
    r"|[-Z]07(?::00:00|:00|0000|00)?|[.,](?:0+|9+)(?![0-9])"
)
"""What stands for a part of a time in a layout: that part of `Mon Jan 2 15:04:05 MST 2006`."""


def _formatted(layout: str, here: time.struct_time, nanos: int) -> str:
    parts = _parts(here)

    def told(element: re.Match[str]) -> str:
        text = element[0]
        if text[0] in "-Z" and len(text) > 1:
            return _offset(text, here.tm_gmtoff)
        if text[0] in ".,":
            return _fraction(text, nanos)
        return parts[text]

    return _ELEMENT.sub(told, layout)


def _parts(here: time.struct_time) -> Mapping[str, str]:
    month, day, hour = _MONTHS[here.tm_mon - 1], _DAYS[here.tm_wday], here.tm_hour % 12 or 12
    half = "PM" if here.tm_hour >= 12 else "AM"
    return {
        "January": month,
        "Jan": month[:3],
        "Monday": day,
        "Mon": day[:3],
        "MST": here.tm_zone,
        "2006": f"{here.tm_year:04d}",
        "06": f"{here.tm_year % 100:02d}",
        "01": f"{here.tm_mon:02d}",
        "1": str(here.tm_mon),
        "02": f"{here.tm_mday:02d}",
        "_2": f"{here.tm_mday:2d}",
        "2": str(here.tm_mday),
        "002": f"{here.tm_yday:03d}",
        "__2": f"{here.tm_yday:3d}",
        "15": f"{here.tm_hour:02d}",
        "03": f"{hour:02d}",
        "3": str(hour),
        "04": f"{here.tm_min:02d}",
        "4": str(here.tm_min),
        "05": f"{here.tm_sec:02d}",
        "5": str(here.tm_sec),
        "PM": half,
        "pm": half.lower(),
    }


def _offset(element: str, offset_s: int) -> str:
    """How far the zone is from UTC: `+01:00`, or `Z` for none where the layout has that."""
    if element[0] == "Z" and not offset_s:
        return "Z"
    seconds = abs(offset_s)
    hours, minutes, rest = seconds // 3600, seconds // 60 % 60, seconds % 60
    digits = (f"{hours:02d}", f"{minutes:02d}", f"{rest:02d}")
    colon = ":" if ":" in element else ""
    count = (len(element) - 1 - element.count(":")) // 2
    return ("-" if offset_s < 0 else "+") + colon.join(digits[:count])


def _fraction(element: str, nanos: int) -> str:
    digits = f"{nanos:09d}".ljust(len(element) - 1, "0")[: len(element) - 1]
    if element[1] == "0":
        return element[0] + digits
    digits = digits.rstrip("0")
    return element[0] + digits if digits else ""
