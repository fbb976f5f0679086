"""Amounts of disk and spans of time, against what BuildKit makes of them."""

from __future__ import annotations

import pytest

from croze.daemon.config.sizes import DiskSpace, Duration, Keep
from croze.errors import InvalidRequest


@pytest.mark.parametrize(
    ("value", "size"),
    [
        (20, 20),
        ("40MB", 40 * 2**20),
        ("10GB", 10 * 2**30),
        ("10gib", 10 * 2**30),
        ("1.5k", 1536),
        ("7 b", 7),
        (1.5, 1),
        ("", 0),
        ("20%", 21 * 10**9),
        ("100%", 101 * 10**9),
    ],
)
def test_amounts_of_disk_are_read_as_buildkitd_does(value: object, size: int) -> None:
    assert DiskSpace.parse(value).of(100 * 2**30) == size


def test_a_share_of_an_unknown_disk() -> None:
    assert DiskSpace.parse("20%").of(0) == 2 * 10**9


@pytest.mark.parametrize("value", ["x", "1.5%", "-1", "1bb", "1GBB", "MB"])
def test_not_disk_space(value: str) -> None:
    with pytest.raises(InvalidRequest, match="invalid disk space"):
        DiskSpace.parse(value)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(3600, 3600), ("7200", 7200), ("48h", 172800), ("1h30m", 5400), ("1.5s", 1.5), ("-1h", -3600)],
)
def test_spans_of_time_are_read_as_buildkitd_does(value: object, seconds: float) -> None:
    assert Duration.parse(value).seconds == seconds


@pytest.mark.parametrize("value", ["x", "1h x", "h", "1d"])
def test_what_is_no_span_of_time_is_refused(value: str) -> None:
    with pytest.raises(InvalidRequest, match=f"invalid duration {value}"):
        Duration.parse(value)


def test_keepstorage_is_in_megabytes() -> None:
    assert Keep.parse("1") == Keep(10**6)
    assert Keep.parse("1,2,3") == Keep(10**6, 2 * 10**6, 3 * 10**6)
    with pytest.raises(InvalidRequest, match='failed to parse storage "1,2,x"'):
        Keep.parse("1,2,x")
