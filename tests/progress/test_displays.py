from __future__ import annotations

import asyncio
import json
from io import BytesIO, StringIO

import pytest

from croze.errors import InvalidRequest, Position, Range, SourceDetail
from croze.progress import display, rawjson
from croze.progress.errors import excerpt, print_error
from croze.progress.intervals import Interval, merge
from croze.progress.plain import PlainDisplay
from croze.progress.size import format_bytes
from croze.progress.terminal.tty import TtyDisplay
from croze.progress.warnings import Warnings, print_warnings
from tests.progress.statuses import bar, log, vertex, warning


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0B"), (999, "999B"), (1234, "1.23kB"), (31_000_000, "31.00MB"), (-5000, "-5.00kB")],
)
def test_sizes(count: int, text: str) -> None:
    assert format_bytes(count) == text


def test_intervals() -> None:
    assert merge([Interval(5, 6), Interval(0, 2), Interval(1, 3)]) == [
        Interval(0, 3),
        Interval(5, 6),
    ]
    assert merge([Interval(0, None), Interval(1, 2)]) == [Interval(0, None)]
    assert merge([Interval(0, 4), Interval(1, 2)]) == [Interval(0, 4)]


# -- which display ---------------------------------------------------------------------------


def test_modes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BUILDKIT_PROGRESS", raising=False)
    assert display.resolve_mode("auto", is_terminal=True) == "tty"
    assert display.resolve_mode("", is_terminal=False) == "plain"
    assert display.resolve_mode("rawjson", is_terminal=True) == "rawjson"
    monkeypatch.setenv("BUILDKIT_PROGRESS", "quiet")
    assert display.resolve_mode("auto", is_terminal=True) == "quiet"
    assert display.resolve_mode("plain", is_terminal=True) == "plain"
    with pytest.raises(InvalidRequest, match="invalid progress mode foo"):
        display.resolve_mode("foo", is_terminal=True)
    with pytest.raises(InvalidRequest, match="failed to get console"):
        display.resolve_mode("tty", is_terminal=False)


@pytest.mark.parametrize("mode", ["plain", "tty"])
def test_a_display_ends_once(mode: str) -> None:
    """Whoever has it closes it: the build, and the command if no build was begun."""
    out = BytesIO()
    shown = PlainDisplay(out) if mode == "plain" else TtyDisplay(out)
    shown.update(vertex("a", "step", 0))
    shown.update(log("a", "why it failed\n", 0.1))
    shown.update(vertex("a", "step", 0, 0.2, error="exit code: 1"))
    shown.close()
    text = out.getvalue()
    shown.close()
    assert b"why it failed" in text
    assert out.getvalue() == text


async def test_a_running_display_is_refreshed_and_closed() -> None:
    refreshed, calls = asyncio.Event(), []

    class Fake:
        warnings = Warnings()

        def update(self, status: object) -> None: ...

        def refresh(self) -> None:
            refreshed.set()

        def close(self) -> None:
            calls.append("closed")

    with pytest.raises(ZeroDivisionError):  # noqa: PT012
        async with display.running(Fake()):
            await refreshed.wait()
            raise ZeroDivisionError
    assert calls == ["closed"]


# -- raw JSON --------------------------------------------------------------------------------


def test_raw_json() -> None:
    status = vertex("sha256:1", "<a> & b", 0.5, 1, cached=True)
    status.MergeFrom(bar("sha256:1", "id", 0, 0, 1.25, 0))
    status.MergeFrom(log("sha256:1", "hi\n", 2))
    assert rawjson.encode(status) == (
        '{"vertexes":[{"digest":"sha256:1","name":"\\u003ca\\u003e \\u0026 b",'
        '"started":"2023-11-14T22:13:20.5Z","completed":"2023-11-14T22:13:21Z","cached":true}],'
        '"statuses":[{"id":"id","vertex":"sha256:1","current":0,'
        '"timestamp":"2023-11-14T22:13:21.25Z","started":"2023-11-14T22:13:20Z"}],'
        '"logs":[{"vertex":"sha256:1","stream":1,"data":"aGkK",'
        '"timestamp":"2023-11-14T22:13:22Z"}]}'
    )


def test_raw_json_of_warnings_and_groups() -> None:
    found = json.loads(rawjson.encode(warning("sha256:1", "careful")))["warnings"][0]
    assert found["short"] == "Y2FyZWZ1bA=="
    assert found["sourceInfo"] == {"filename": "Dockerfile", "data": "RlJPTSB4ClJVTiB5Cg=="}
    assert found["range"] == [{"start": {"line": 2}, "end": {"line": 2}}]
    grouped = json.loads(rawjson.encode(vertex("a", "x", group=("g", "name", True))))
    assert grouped["vertexes"][0]["progressGroup"] == {"id": "g", "name": "name", "weak": True}


def test_each_status_is_a_line() -> None:
    out = BytesIO()
    raw = rawjson.RawJsonDisplay(out)
    raw.update(vertex("a", "x", 0))
    raw.update(vertex("a", "x", 0, 1))
    assert [list(json.loads(line)) for line in out.getvalue().splitlines()] == [["vertexes"]] * 2


# -- errors and warnings ---------------------------------------------------------------------


def source(*lines: tuple[int, int], text: str = "FROM a\nRUN b\nRUN c\nRUN d\n") -> SourceDetail:
    ranges = tuple(Range(Position(start), Position(end)) for start, end in lines)
    return SourceDetail("Dockerfile", text.encode(), ranges)


def test_the_excerpt_of_one_line() -> None:
    assert excerpt(source((2, 2))) == (
        "Dockerfile:2\n"
        "--------------------\n"
        "   1 |     FROM a\n"
        "   2 | >>> RUN b\n"
        "   3 |     RUN c\n"
        "   4 |     RUN d\n"
        "--------------------\n"
    )


def test_excerpts_of_more_and_of_none() -> None:
    text = "".join(f"line {n}\n" for n in range(1, 20))
    assert excerpt(source((9, 11), text=text)).splitlines()[2:-1] == [
        "   8 |     line 8",
        "   9 | >>> line 9",
        "  10 | >>> line 10",
        "  11 | >>> line 11",
        "  12 |     line 12",
    ]
    assert excerpt(source()) == ""
    assert excerpt(source((99, 99))) == ""


def test_errors_end_with_the_message() -> None:
    out = StringIO()
    print_error(InvalidRequest("no such thing", source((1, 1))), out, "failed to build")
    assert out.getvalue().startswith("Dockerfile:1\n----")
    assert out.getvalue().endswith("----\nERROR: failed to build: no such thing\n")


def test_the_summary_of_warnings() -> None:
    found = Warnings()
    found.add(warning("a", "careful").warnings)
    found.add(warning("b", "careful").warnings)
    assert len(found) == 1
    out = StringIO()
    print_warnings(found, out)
    assert out.getvalue() == (
        "\n \x1b[33m1 warning found (use croze --debug to expand):\n\x1b[0m - careful\n"
    )
    found.add(warning("b", "other").warnings)
    out = StringIO()
    print_warnings(found, out, debug=True)
    assert "2 warnings found:\n" in out.getvalue()
    assert " - careful\nbecause\nMore info: https://example.com/w\nDockerfile:2\n" in out.getvalue()
