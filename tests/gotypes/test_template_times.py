"""Durations and times in templates: what is expected here are Go's own answers."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from croze.gotypes.template import Fields, GoDuration, GoTime, TemplateError, render


def data() -> Fields:
    """Values of the zone in force."""
    return Fields(
        {
            "D": GoDuration(3_725_250_000_000),
            "L": GoDuration(-1_500_000_000),
            "T": GoTime(Timestamp(seconds=1_767_355_503, nanos=50_000_000)),
            "U": GoTime(Timestamp(seconds=1_767_355_500)),
        }
    )


_IN_UTC = "2026-01-02 12:05:03.05 +0000 UTC 12 2026-01-02 17:35:03.05 +0530 XYZ"


@pytest.fixture(autouse=True)
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "XYZ-5:30")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("{{.D}} {{.L}}", "1h2m5.25s -1.5s"),
        ("{{.D.Hours}} {{.D.Minutes}} {{.D.Seconds}}", "1.0347916666666666 62.0875 3725.25"),
        ("{{.L.Milliseconds}} {{.L.Nanoseconds}} {{.L.Abs}}", "-1500 -1500000000 1.5s"),
        ("{{.D.Round 60000000000}} {{.D.Truncate 3600000000000}}", "1h2m0s 1h0m0s"),
        ("{{.L.Round 1000000000}} {{.L.Truncate 1000000000}} {{.L.Round 0}}", "-2s -1s -1.5s"),
        ("{{gt .D 1000}} {{lt .L 0}} {{if .D}}y{{end}}", "true true y"),
        ('{{printf "%s %d %v %T" .D .L .L .D}}', "1h2m5.25s -1500000000 -1.5s time.Duration"),
        ("{{json .D}} {{json .T}}", '3725250000000 "2026-01-02T17:35:03.05+05:30"'),
        ("{{.T}}", "2026-01-02 17:35:03.05 +0530 XYZ"),
        ("{{.T.Year}} {{.T.Month}} {{.T.Day}} {{.T.Weekday}}", "2026 January 2 Friday"),
        ("{{.T.Hour}}:{{.T.Minute}}:{{.T.Second}}.{{.T.Nanosecond}}", "17:35:3.50000000"),
        ("{{.T.UTC}} {{.T.UTC.Hour}} {{.T.UTC.Local}}", _IN_UTC),
        ("{{json .T.UTC}}", '"2026-01-02T12:05:03.05Z"'),
        ("{{.T.Unix}} {{.T.UnixMilli}} {{.T.YearDay}}", "1767355503 1767355503050 2"),
        ("{{.T.Sub .U}} {{(.U.Sub .T).Seconds}}", "3.05s -3.05"),
        ("{{.T.After .U}} {{.T.Before .U}} {{.T.Equal .T}}", "true false true"),
        ('{{.T.Format "2006-01-02T15:04:05Z07:00"}}', "2026-01-02T17:35:03+05:30"),
        (
            '{{.T.Format "Monday, _2 January 2006 3:4:5.000 pm MST"}}',
            "Friday,  2 January 2026 5:35:3.050 pm XYZ",
        ),
        ('{{"Jan 002 06 -0700 .99" | .T.Format}}', "Jan 002 26 +0530 .05"),
        ('{{.U.Format "Mond Jane 03:04:05.999 __2 _2006"}}', "Mond Jane 05:35:00   2 _2026"),
    ],
)
def test_shown(text: str, shown: str) -> None:
    assert render(text, data()) == shown


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{.D.Days}}", "<.D.Days>: can't evaluate field Days in type time.Duration"),
        ("{{.T.Nope}}", "<.T.Nope>: can't evaluate field Nope in type *time.Time"),
        ("{{.T.Format}}", "<.T.Format>: wrong number of args for Format: want 1 got 0"),
        ("{{.T.Format 1}}", "<1>: expected string; found 1"),
        ("{{.T.Format .D}}", "<.D>: wrong type for value; expected string; got time.Duration"),
        ("{{.T.Sub 1}}", "<1>: can't handle 1 for arg of type time.Time"),
        ("{{.T.Sub .D}}", "<.D>: wrong type for value; expected time.Time; got time.Duration"),
        ("{{.D.Hours 1}}", "<.D.Hours>: wrong number of args for Hours: want 0 got 1"),
    ],
)
def test_refused(text: str, said: str) -> None:
    with pytest.raises(TemplateError) as caught:
        render(text, data())
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "printed", "in_json"),
    [
        ("2026-01-02T12:05:03.050Z", "2026-01-02 12:05:03.05 +0000 UTC", "2026-01-02T12:05:03.05Z"),
        (
            "2026-01-02T17:35:03+05:30",
            "2026-01-02 17:35:03 +0530 XYZ",
            "2026-01-02T17:35:03+05:30",
        ),
        (
            "2026-01-02T10:05:03-02:00",
            "2026-01-02 10:05:03 -0200 -0200",
            "2026-01-02T10:05:03-02:00",
        ),
        ("0001-01-01T00:00:00Z", "0001-01-01 00:00:00 +0000 UTC", "0001-01-01T00:00:00Z"),
    ],
)
def test_a_time_in_json_keeps_its_zone(text: str, printed: str, in_json: str) -> None:
    shown = render("{{.T}} {{json .T}}", Fields({"T": GoTime.parse(text)}))
    assert shown == f'{printed} "{in_json}"'


def test_what_is_no_time_is_refused() -> None:
    with pytest.raises(ValueError, match="timestamp"):
        GoTime.parse("nope")


def test_a_time_of_no_calendar_is_the_nearest() -> None:
    far = GoTime(Timestamp(seconds=1 << 60))
    assert render("{{.T.Year}}", Fields({"T": far})) in ("9999", "10000")
