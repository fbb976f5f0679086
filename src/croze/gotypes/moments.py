"""Moments that others tell, as seconds since 1970 and nanoseconds: any number of them. protobuf's
own methods raise `ValueError` for those that no calendar has."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from datetime import datetime

_FIRST_S: Final = -62_135_596_800
_LAST_S: Final = 253_402_300_799
"""The first second of the year 1, and the last of the year 9999."""
_SECOND_NS: Final = 10**9


class Stamp(Protocol):
    """A `Timestamp` of protobuf."""

    @property
    def seconds(self) -> int:
        """Whole seconds since 1970."""

    @property
    def nanos(self) -> int:
        """Nanoseconds of the second that has begun."""


def nanoseconds(stamp: Stamp) -> int:
    """A protobuf timestamp, since 1970."""
    return stamp.seconds * _SECOND_NS + stamp.nanos


def is_a_moment(stamp: Stamp) -> bool:
    """Whether a calendar has it."""
    return _FIRST_S <= stamp.seconds <= _LAST_S and 0 <= stamp.nanos < _SECOND_NS


def utc_text(seconds: int, nanos: int = 0, between: str = "T") -> str:
    """`2026-01-31T12:00:00.5`: in UTC, with the digits of the fraction that say something. What is
    in no year of four digits is told as the nearest moment that is."""
    fraction = f".{nanos:09d}".rstrip("0") if 0 < nanos < _SECOND_NS else ""
    return f"{utc_moment(seconds).replace(tzinfo=None).isoformat(between)}{fraction}"


def utc_moment(seconds: int, nanos: int = 0) -> datetime:
    """The nearest moment that there is, to the microsecond."""
    from datetime import UTC, datetime, timedelta  # takes its time, and a build can do without

    fraction = timedelta(microseconds=min(max(nanos, 0), _SECOND_NS - 1) // 1000)
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=_inside(seconds)) + fraction


def rfc3339(stamp: Stamp) -> str:
    """A time in UTC, as Go writes it."""
    return f"{utc_text(stamp.seconds, stamp.nanos)}Z"


def rfc3339_of(moment: datetime) -> str:
    """A time in UTC, as Go writes it. The moment must have a zone."""
    from datetime import UTC

    text = moment.astimezone(UTC).replace(tzinfo=None).isoformat()
    return f"{text.rstrip('0')}Z" if "." in text else f"{text}Z"


def rfc3339_ns(nanoseconds: int) -> str:
    """A time in UTC, as Go writes it, of so many nanoseconds since 1970."""
    return f"{utc_text(*divmod(nanoseconds, _SECOND_NS))}Z"


def local_rfc3339(stamp: Stamp, *, fraction: bool = True, offset_s: int | None = None) -> str:
    """A time where we are, or so far from UTC, as Go writes it: `2026-01-31T12:00:00.5+01:00`."""
    text, offset, _ = _there(stamp, "T", fraction=fraction, offset_s=offset_s)
    return f"{text}{offset[:3]}:{offset[3:]}" if offset.strip("+-0") else f"{text}Z"


def local_text(stamp: Stamp, *, offset_s: int | None = None) -> str:
    """A time where we are, or so far from UTC, as Go prints it: `2026-01-31 12:00:00.5 +0100
    CET`."""
    return " ".join(_there(stamp, " ", offset_s=offset_s))


def local_time(stamp: Stamp, *, offset_s: int | None = None) -> time.struct_time:
    """A time where we are, or so far from UTC, to the second; the nearest that there is. A zone
    that is no more than its distance from UTC is named by that."""
    if offset_s is None:
        return time.localtime(_inside(stamp.seconds))
    there = time.gmtime(_inside(stamp.seconds + offset_s))
    name = _offset(offset_s) if offset_s else "UTC"
    return time.struct_time(tuple(there), {"tm_gmtoff": offset_s, "tm_zone": name})


def _inside(seconds: int) -> int:
    return min(max(seconds, _FIRST_S), _LAST_S)


def _there(
    stamp: Stamp, between: str, *, fraction: bool = True, offset_s: int | None = None
) -> tuple[str, str, str]:
    """The time, how far it is from UTC (`+0100`), and the zone's name."""
    there = local_time(stamp, offset_s=offset_s)
    text = utc_text(stamp.seconds + there.tm_gmtoff, stamp.nanos if fraction else 0, between)
    return text, _offset(there.tm_gmtoff), there.tm_zone


def _offset(offset_s: int) -> str:
    minutes = abs(offset_s) // 60
    return f"{'-' if offset_s < 0 else '+'}{minutes // 60:02d}{minutes % 60:02d}"
