"""The interactive display on a terminal, as a person sees it."""

from __future__ import annotations

import io
import os
import re
import signal
from collections.abc import Iterator

import pytest

from croze.progress.model import KEPT_LINES, Screen, Trace
from croze.progress.terminal import cells
from croze.progress.terminal.painter import Painter
from croze.progress.terminal.render import palette, signs
from croze.progress.terminal.stages import placed
from croze.progress.terminal.tty import TtyDisplay
from tests.progress.emulator import Emulator
from tests.progress.statuses import bar, log, vertex, warning


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "BUILDKIT_COLORS", "BUILDKIT_TTY_LOG_LINES", "LC_ALL", "LC_CTYPE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "C.UTF-8")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("TTY_DISPLAY_RATE", "0")


@pytest.fixture
def terminal() -> Iterator[Emulator]:
    made = Emulator()
    yield made
    made.close()


def running(tty: TtyDisplay) -> None:
    """Three stages: one that ended, one in the midst, and an export."""
    tty.update(vertex("i1", "[internal] load build definition from Dockerfile", 0, 0.1))
    tty.update(vertex("i2", "[internal] load .dockerignore", 0, 0.1))
    tty.update(vertex("b1", "[base 1/2] FROM x", 0.1, 0.2, cached=True))
    tty.update(vertex("b2", "[base 2/2] RUN apk add", 0.2, 3))
    tty.update(vertex("a1", "[app 1/3] COPY . .", 3, 4))
    tty.update(vertex("a3", "[app 3/3] RUN test"))
    tty.update(vertex("a2", "[app 2/3] RUN make", 4))
    tty.update(log("a2", "cc a.c\n\x1b[31mcc b.c\x1b[0m\n10%\r20%", 4.5))


def test_stages_are_grouped_and_what_runs_is_open(terminal: Emulator) -> None:
    tty = TtyDisplay(terminal.out, "docker:default")
    running(tty)
    tty.refresh()
    shown = terminal.read()
    assert re.fullmatch(r"\[\+\] Building \d+\.\ds \(5/7\) +docker:default", shown[0])
    rows = [re.sub(r"\s+[\d.]+s$", "", re.sub("[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏]", "*", line)) for line in shown[1:]]
    assert rows == [
        " ✔ internal (2/2)",
        " ✔ base (2/2) 1 CACHED",
        " * app (1/3)",
        "   ✔ 1/3 COPY . .",
        "   * 2/3 RUN make",
        "   │ cc a.c",
        "   │ cc b.c",
        "   │ 20%",
    ]
    assert all(len(line) == 79 for line in shown[:6])


def test_the_last_drawing_has_every_step(terminal: Emulator) -> None:
    tty = TtyDisplay(terminal.out)
    running(tty)
    tty.update(vertex("a2", "[app 2/3] RUN make", 4, 6))
    tty.update(vertex("a3", "[app 3/3] RUN test", 6, 7))
    tty.update(vertex("e", "exporting to image", 7, 8))
    tty.update(bar("e", "exporting layers", 0, 0, 8, 7, 7.5))
    tty.close()
    shown = [re.sub(r" +(?=[\d.]+s$)", " ", line) for line in terminal.read()]
    assert re.fullmatch(r"\[\+\] Building \d+\.\ds \(8/8\) FINISHED", shown[0])
    assert shown[1:] == [
        " ✔ internal 0.1s",
        "   ✔ load build definition from Dockerfile 0.1s",
        "   ✔ load .dockerignore 0.1s",
        " ✔ base 2.9s",
        "   ● CACHED 1/2 FROM x 0.1s",
        "   ✔ 2/2 RUN apk add 2.8s",
        " ✔ app 4.0s",
        "   ✔ 1/3 COPY . . 1.0s",
        "   ✔ 2/3 RUN make 2.0s",
        "   ✔ 3/3 RUN test 1.0s",
        " ✔ exporting to image 1.0s",
        "   ✔ exporting layers 0.5s",
    ]


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_no_line_is_wider_than_the_screen(columns: int) -> None:
    terminal = Emulator(columns, 20)
    tty = TtyDisplay(terminal.out, "docker:default")
    tty.update(vertex("a", "[建てる 1/2] RUN echo " + "漢字" * 60, 0))
    tty.update(vertex("b", "[建てる 2/2] RUN echo " + "x" * 300, 0, 1))
    tty.update(log("a", "ログ" * 200 + "\n" + "e\u0301" * 300 + "\n" + "👩‍👩‍👧 " * 80, 1))
    for _ in range(3):
        tty.refresh()
        terminal.read(0.05)
    shown = terminal.lines()
    assert len(shown) == 7, shown  # a line that wraps would be more
    assert "漢字漢" in "".join(shown).replace(" ", "")
    assert shown[2].endswith("s"), "the time is at the right"
    tty.close()
    assert len(terminal.read()) == 4
    terminal.close()


def test_two_hundred_steps_stay_on_the_screen_and_only_changes_are_written() -> None:
    terminal = Emulator(100, 30)
    tty = TtyDisplay(terminal.out)
    for number in range(200):
        tty.update(vertex(f"{number}", f"[s{number} 1/1] RUN sleep {number}", 0))
    tty.refresh()
    shown = terminal.read()
    assert len(shown) == 29
    assert re.fullmatch(r"\s+and 173 more that run", shown[-1])
    assert terminal.scrolled() == []
    terminal.heard = b""
    tty._painter.paint(["same", "text"], 100)
    terminal.read()
    first = len(terminal.heard)
    terminal.heard = b""
    tty._painter.paint(["same", "next"], 100)
    terminal.read()
    assert b"same" not in terminal.heard
    assert b"\x1b[2J" not in terminal.heard
    assert len(terminal.heard) < first
    assert terminal.heard.startswith(b"\x1b[?2026h")
    assert terminal.heard.endswith(b"\x1b[?2026l")
    terminal.close()


def test_many_stages_keep_what_runs() -> None:
    terminal = Emulator(80, 12)
    tty = TtyDisplay(terminal.out)
    tty.update(vertex("run", "[long 1/1] RUN still", 0))
    tty.update(log("run", "".join(f"line {n}\n" for n in range(9)), 1))
    for number in range(30):
        tty.update(vertex(str(number), f"[s{number} 1/1] RUN x", 0, 1))
    tty.refresh()
    shown = terminal.read()
    assert len(shown) <= 11
    assert any("RUN still" in line for line in shown)
    assert any("s29" in line for line in shown)
    tty.close()
    everything = terminal.read() and [*terminal.scrolled(), *terminal.lines()]
    assert sum("RUN x" in line for line in everything) == 30
    terminal.close()


def test_a_resize_leaves_nothing_behind(terminal: Emulator) -> None:
    tty = TtyDisplay(terminal.out, "docker:default")
    running(tty)
    tty.refresh()
    before = len(terminal.read())
    terminal.resize(132, 24)
    tty.refresh()
    shown = terminal.read()
    assert len(shown) == before
    assert len(shown[0]) == 131
    assert sum("Building" in line for line in shown) == 1


def test_narrower_lines_are_counted_as_the_terminal_breaks_them() -> None:
    painter = Painter(io.BytesIO())
    painter.frame(["x" * 79, "\x1b[34m" + "y" * 79 + "\x1b[0m", "z"], 80)
    assert "\x1b[5A\x1b[J" in painter.frame(["short"], 40)
    assert "\x1b[1A" in painter.frame(["short"], 40)


def test_after_a_stop_it_goes_on_below_what_is_there_then() -> None:
    """What a person did in the shell meanwhile stays on the screen."""
    before = signal.getsignal(signal.SIGCONT)
    painter = Painter(io.BytesIO())
    painter.watch_for_stops()
    painter.frame(["one"], 80)
    assert "\x1b[1A" in painter.frame(["two"], 80)
    os.kill(os.getpid(), signal.SIGCONT)
    below = painter.frame(["three"], 80)
    assert "three" in below
    assert "\x1b[1A" not in below
    assert "\x1b[1A" in painter.frame(["four"], 80)
    painter.close()
    assert signal.getsignal(signal.SIGCONT) == before


def test_a_terminal_that_nobody_reads_does_not_hold_up_the_build() -> None:
    terminal = Emulator(200, 50)
    tty = TtyDisplay(terminal.out)
    for number in range(40):
        tty.update(vertex(f"{number}", f"[s{number} 1/1] RUN {'x' * 150}", 0))
    for number in range(200):  # far more than a terminal holds
        tty.update(log("0", f"{number} {'y' * 150}\n", 1))
        tty.refresh()
    for number in range(40):
        tty.update(vertex(f"{number}", f"[s{number} 1/1] RUN {'x' * 150}", 0, 1))
    import threading

    closing = threading.Thread(target=tty.close)
    closing.start()
    while closing.is_alive():
        terminal.read(0.05)
    closing.join()
    everything = [*terminal.scrolled(), *terminal.read()]
    assert sum(line.startswith(" ✔ [s") for line in everything) >= 40
    terminal.close()


def test_a_failed_step_stays_open_and_its_log_follows(terminal: Emulator) -> None:
    tty = TtyDisplay(terminal.out)
    tty.update(vertex("a", "[1/2] RUN x", 0))
    tty.update(log("a", "".join(f"l{n}\n" for n in range(12)), 1))
    tty.update(vertex("b", "[2/2] RUN y", 0, 1, error="context canceled"))
    tty.update(vertex("a", "[1/2] RUN x", 0, 2, error="exit code: 1"))
    tty.close()
    shown = terminal.read()
    start = shown.index(" > [1/2] RUN x:")
    assert shown[start - 1 :] == [
        *("------", " > [1/2] RUN x:"),
        *(f"1.000 l{n}" for n in range(12)),
        "------",
    ]
    rows = [line.split("  ")[0] for line in (" ".join(s.split(" ")) for s in shown[1:4])]
    assert shown[1].startswith(" ✘ steps")
    assert shown[2].startswith("   ✘ ERROR 1/2 RUN x"), rows
    assert shown[3].startswith("   ◌ CANCELED 2/2 RUN y")


def test_many_counters_are_added_up(terminal: Emulator) -> None:
    tty = TtyDisplay(terminal.out)
    tty.update(vertex("p", "[1/1] FROM x", 0))
    for number in range(5):
        tty.update(bar("p", f"sha256:{number}", 1000, 2000, 1, 0))
    tty.refresh()
    assert any("0 of 5 parts 5.00kB / 10.00kB" in line for line in terminal.read())
    tty.update(bar("p", "sha256:0", 2000, 2000, 2, 0, 2))
    tty.refresh()
    assert any("1 of 5 parts 6.00kB / 10.00kB" in line for line in terminal.read())


def test_warnings_are_shown_with_their_step(terminal: Emulator) -> None:
    tty = TtyDisplay(terminal.out)
    tty.update(vertex("a", "[1/1] FROM x", 0, 1))
    tty.update(warning("a", "careful \x1b[2J"))
    tty.close()
    shown = terminal.read()
    assert shown[2] == "   ! WARN: careful ?[2J"


def test_without_color_and_without_unicode(
    terminal: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("LANG", "de_DE.ISO-8859-1")
    tty = TtyDisplay(terminal.out)
    running(tty)
    tty.update(vertex("a2", "[app 2/3] RUN ü", 4, 6, error="exit code: 1"))
    tty.close()
    terminal.read()
    drawn = terminal.heard.partition(b"------")[0]  # what follows are the step's own bytes
    assert not re.search(rb"\x1b\[[0-9;]*m", drawn)
    assert drawn.isascii(), drawn
    assert b"x ERROR 2/3 RUN ?" in drawn


def test_signs_by_locale(monkeypatch: pytest.MonkeyPatch) -> None:
    assert signs().done == "✔"
    monkeypatch.setenv("LC_ALL", "en_US.utf8")
    assert signs().done == "✔"
    monkeypatch.setenv("TERM", "linux")
    assert signs().done == "+"


def test_colors(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("BUILDKIT_COLORS", 'run=green:error="1,2,3":cancel=nope:walk=red')
    assert palette() == {
        "run": "\x1b[32m",
        "cancel": "\x1b[33m",
        "warning": "\x1b[33m",
        "error": "\x1b[38;2;1;2;3m",
    }
    assert caplog.messages == [
        "Unknown color value found in BUILDKIT_COLORS: cancel=nope",
        "Unknown key found in BUILDKIT_COLORS (expected: run, cancel, error, or warning): walk",
    ]
    monkeypatch.setenv("NO_COLOR", "1")
    assert palette() == {}


@pytest.mark.parametrize(
    ("name", "stage", "label"),
    [
        ("[2/2] RUN y", "steps", "2/2 RUN y"),
        ("[build 3/5] RUN make", "build", "3/5 RUN make"),
        ("[linux/arm64 build 1/2] FROM x", "linux/arm64 build", "1/2 FROM x"),
        ("[internal] load metadata", "internal", "load metadata"),
        ("[stage-1 2/3] RUN [ -f a ] b", "stage-1", "2/3 RUN [ -f a ] b"),
        ("exporting to image", "", "exporting to image"),
        ("[broken", "", "[broken"),
    ],
)
def test_the_stage_of_a_step(name: str, stage: str, label: str) -> None:
    assert placed(name) == (stage, label)


def test_texts_are_cut_at_whole_characters() -> None:
    assert cells.cut("abcdef", 4) == "abc…"
    assert cells.cut("漢字漢字", 5) == "漢字…"
    assert cells.cut("漢字漢字", 4) == "漢…"
    assert cells.cut("e\u0301e\u0301e\u0301", 2) == "e\u0301…"
    assert cells.spread("left", "1.0s", 20) == "left            1.0s"


def test_a_screen_keeps_the_last_lines() -> None:
    screen = Screen()
    screen.write(b"a\r\nb\r")
    screen.write(b"c\n\n\x07d")
    assert screen.lines(2) == ["c", "d"]
    assert screen.lines(9) == ["a", "c", "d"]


def test_a_log_without_end_is_not_kept_whole() -> None:
    trace = Trace(screens=True)
    trace.update(vertex("a", "x", 0))
    for _ in range(10):
        trace.update(log("a", "line\n" * KEPT_LINES, 1))
    assert KEPT_LINES <= len(trace.by_digest["a"].logs) <= 2 * KEPT_LINES
