"""The plain display; the expected texts are as buildx prints them."""

from __future__ import annotations

from io import BytesIO

import pytest

from croze.api import control_pb2
from croze.progress.plain import PlainDisplay
from tests.progress.statuses import bar, log, vertex, warning
from tests.support.work import calls_of


def shown(*statuses: control_pb2.StatusResponse, desc: str = "") -> str:
    out = BytesIO()
    display = PlainDisplay(out, desc)
    for status in statuses:
        display.update(status)
        display.refresh()
    display.close()
    return out.getvalue().decode()


def test_a_step_from_start_to_end() -> None:
    text = shown(
        vertex("a", "[internal] load build definition from Dockerfile", 0),
        bar("a", "transferring dockerfile:", 31, 0, 0.005, 0, 0.005),
        vertex("a", "[internal] load build definition from Dockerfile", 0, 0.1),
        desc='building with "default" instance using docker driver',
    )
    assert text == (
        '#0 building with "default" instance using docker driver\n'
        "\n"
        "#1 [internal] load build definition from Dockerfile\n"
        "#1 transferring dockerfile: 31B done\n"
        "#1 DONE 0.1s\n"
    )


def test_cached_canceled_and_done() -> None:
    text = shown(
        vertex("a", "one", 0, 0.1, cached=True),
        vertex("b", "two", 0, 0.2, error="process: context canceled"),
        vertex("c", "three", 0, 12.34),
    )
    assert text == ("#1 one\n#1 CACHED\n\n#2 two\n#2 CANCELED\n\n#3 three\n#3 DONE 12.3s\n")


def test_a_failed_step_shows_its_log_again() -> None:
    name = "[2/2] RUN false"
    text = shown(
        vertex("a", name, 0),
        log("a", "one\ntwo\n", 0.5),
        vertex("a", name, 0, 1, error='process "/bin/sh -c false": exit code: 1'),
    )
    assert text == (
        f"#1 {name}\n"
        "#1 0.500 one\n"
        "#1 0.500 two\n"
        '#1 ERROR: process "/bin/sh -c false": exit code: 1\n'
        "------\n"
        f" > {name}:\n"
        "0.500 one\n"
        "0.500 two\n"
        "------\n"
    )


def test_only_the_tail_of_a_failed_log_is_repeated() -> None:
    lines = "".join(f"line {n}\n" for n in range(15))
    text = shown(vertex("a", "x", 0), log("a", lines, 1), vertex("a", "x", 0, 2, error="bad"))
    repeated = text.partition(" > x:\n")[2]
    assert repeated == "".join(f"1.000 line {n}\n" for n in range(5, 15)) + "------\n"


def test_times_get_shorter_as_they_grow() -> None:
    text = shown(
        vertex("a", "x", 0), log("a", "a\n", 9.5), log("a", "b\n", 42), log("a", "c\n", 123)
    )
    assert text == "#1 x\n#1 9.500 a\n#1 42.00 b\n#1 123.0 c\n"


def test_a_line_in_pieces() -> None:
    text = shown(
        vertex("a", "x", 0),
        log("a", "no end", 1),
        log("a", " yet", 2),
        log("a", ", now\nnext\n", 3),
        vertex("a", "x", 0, 4, error="bad"),
    )
    assert text.startswith("#1 x\n#1 1.000 no end yet, now\n#1 3.000 next\n#1 ERROR: bad\n")
    # of a line that came in pieces buildx repeats the last one
    assert text.endswith(" > x:\n, now\n3.000 next\n------\n")


def test_a_line_that_never_ends_is_repeated_twice() -> None:
    text = shown(
        vertex("a", "x", 0),
        log("a", "one\ntwo", 1),
        log("a", "", 2),
        vertex("a", "x", 0, 3, error="bad"),
    )
    assert text == (
        "#1 x\n#1 1.000 one\n#1 1.000 two\n#1 ERROR: bad\n------\n > x:\n1.000 two\n\n------\n"
    )


def test_a_warning_is_bytes() -> None:
    out = BytesIO()
    display = PlainDisplay(out)
    status = warning("a", "odd")
    status.warnings[0].short = b"od\xff"
    display.update(vertex("a", "x", 0))
    display.update(status)
    display.update(vertex("a", "x", 0, 1))
    display.close()
    assert out.getvalue() == b"#1 x\n#1 WARN: od\xff\n#1 DONE 1.0s\n"


def test_an_unfinished_line_is_ended() -> None:
    text = shown(vertex("a", "x", 0), log("a", "no end", 1), vertex("a", "x", 0, 2))
    assert text == "#1 x\n#1 1.000 no end\n#1 DONE 2.0s\n"


def test_steps_take_turns() -> None:
    text = shown(
        vertex("a", "one", 0),
        vertex("b", "two", 0),
        log("a", "from a\n", 1),
        vertex("b", "two", 0, 2),
        vertex("a", "one", 0, 3),
    )
    assert text == (
        "#1 one\n#1 1.000 from a\n#1 ...\n\n#2 two\n#2 DONE 2.0s\n\n#1 one\n#1 DONE 3.0s\n"
    )


def test_progress_is_printed_where_it_moves() -> None:
    text = shown(
        vertex("a", "pull", 0),
        bar("a", "sha256:1", 0, 1_000_000, 0, 0),
        bar("a", "sha256:1", 10_000, 1_000_000, 0.1, 0),
        bar("a", "sha256:1", 100_000, 1_000_000, 0.2, 0),
        bar("a", "sha256:1", 101_000, 1_000_000, 5.3, 0),
        bar("a", "sha256:1", 1_000_000, 1_000_000, 6, 0, 6),
    )
    assert text == (
        "#1 pull\n"
        "#1 sha256:1 0B / 1.00MB\n"
        "#1 sha256:1 100.00kB / 1.00MB 0.2s\n"
        "#1 sha256:1 101.00kB / 1.00MB 5.3s\n"
        "#1 sha256:1 1.00MB / 1.00MB 6.0s done\n"
    )


def test_warnings() -> None:
    text = shown(vertex("a", "x", 0), warning("a", "careful"), log("a", "z\n", 1))
    assert text == "#1 x\n#1 WARN: careful\n#1 1.000 z\n"


def test_groups_show_as_one_step() -> None:
    group = ("g", "exporting things", False)
    text = shown(
        vertex("a", "hidden a", 0, group=group),
        vertex("b", "hidden b", 1, group=group),
        vertex("a", "hidden a", 0, 2, group=group),
        vertex("b", "hidden b", 1, 4, group=group),
    )
    assert text == "#1 exporting things\n#1 DONE 4.0s\n"


def test_weak_groups_do_not_show() -> None:
    assert shown(vertex("a", "x", 0, 1, group=("g", "weak", True))) == ""


def test_names_are_cut_on_demand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROGRESS_NO_TRUNC", "0")
    assert shown(vertex("a", "x" * 80, 0, 1)).startswith(f"#1 {'x' * 72}...\n")


def test_steps_that_never_start_are_not_shown() -> None:
    assert shown(vertex("a", "x")) == ""


def test_a_tick_without_news_looks_at_what_runs_alone() -> None:
    """However much has ended."""

    def cost(count: int) -> int:
        display = PlainDisplay(BytesIO())
        for number in range(count):
            display.update(vertex(f"v{number}", f"step {number}", 0, 1))
        display.refresh()
        return calls_of(display.refresh)

    assert cost(500) == cost(5)


def test_what_still_runs_is_shown_when_nothing_is_new() -> None:
    text = shown(
        vertex("a", "first", 0),
        vertex("b", "second", 0),
        vertex("a", "first", 0, 1),
        control_pb2.StatusResponse(),
    )
    assert text.endswith("#1 DONE 1.0s\n\n#2 second\n")
