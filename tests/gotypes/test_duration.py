"""Durations as Go reads and writes them; what is expected here was compared with Go's answers."""

from __future__ import annotations

import pytest

from croze.gotypes.duration import DurationError, format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("0", 0),
        ("1h2m3.5s", 3723_500_000_000),
        ("-1ms", -1_000_000),
        ("+1.5h", 5400_000_000_000),
        ("1us2µs3μs", 6_000),
        (".5s", 500_000_000),
        ("1.s", 1_000_000_000),
        ("0.3333333333333333333h", 1_200_000_000_000),
    ],
)
def test_read(text: str, ns: int) -> None:
    assert parse_duration(text) == ns


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", 'time: invalid duration ""'),
        ("1", 'time: missing unit in duration "1"'),
        ("s", 'time: invalid duration "s"'),
        ("1x", 'time: unknown unit "x" in duration "1x"'),
        ("1h 2m", 'time: unknown unit "h " in duration "1h 2m"'),
        ("9999999999h", 'time: invalid duration "9999999999h"'),
    ],
)
def test_refused(text: str, said: str) -> None:
    with pytest.raises(DurationError) as caught:
        parse_duration(text)
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("ns", "text"),
    [(0, "0s"), (1, "1ns"), (1_500, "1.5µs"), (90_000_000_000, "1m30s"), (-1_000_000, "-1ms")],
)
def test_written(ns: int, text: str) -> None:
    assert format_duration(ns) == text
