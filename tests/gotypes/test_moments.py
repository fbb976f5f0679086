"""Moments that no calendar has."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from croze.gotypes.moments import (
    is_a_moment,
    nanoseconds,
    rfc3339,
    rfc3339_ns,
    rfc3339_of,
    utc_moment,
    utc_text,
)

FAR = (1 << 63) - 1


@pytest.mark.parametrize(
    ("seconds", "nanos", "text"),
    [
        (0, 0, "1970-01-01T00:00:00Z"),
        (1, 500_000_000, "1970-01-01T00:00:01.5Z"),
        (-62_135_596_800, 0, "0001-01-01T00:00:00Z"),
        (FAR, 1, "9999-12-31T23:59:59.000000001Z"),
        (-FAR - 1, -5, "0001-01-01T00:00:00Z"),
    ],
)
def test_any_number_is_told(seconds: int, nanos: int, text: str) -> None:
    stamp = Timestamp(seconds=seconds, nanos=nanos)
    assert rfc3339(stamp) == text
    assert nanoseconds(stamp) == seconds * 10**9 + nanos
    assert is_a_moment(stamp) == (abs(seconds) < FAR)
    assert utc_moment(seconds, nanos).isoformat().startswith(text[:19])


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2020, 1, 2, 3, 4, 5, 600, UTC), "2020-01-02T03:04:05.0006Z"),
        (datetime(2020, 1, 2, 3, 4, 50, tzinfo=UTC), "2020-01-02T03:04:50Z"),
        (datetime(1, 1, 1, 10, tzinfo=UTC), "0001-01-01T10:00:00Z"),
        (datetime(2020, 1, 2, tzinfo=timezone(timedelta(hours=2))), "2020-01-01T22:00:00Z"),
    ],
)
def test_of_a_datetime(moment: datetime, text: str) -> None:
    assert rfc3339_of(moment) == text


def test_of_nanoseconds() -> None:
    assert rfc3339_ns(1_500_000_001) == "1970-01-01T00:00:01.500000001Z"


def test_as_go_prints_them() -> None:
    assert utc_text(1_700_000_000, 120_000_000, " ") == "2023-11-14 22:13:20.12"
