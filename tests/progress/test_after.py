"""What is logged while a display draws comes after it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from io import BytesIO, StringIO

import pytest

from croze.progress.after import LogsAfter, tell_logs
from croze.progress.display import Display, make_display
from croze.progress.paused import PausedDisplay


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[StringIO]:
    """What log records have come to on standard error."""
    out = StringIO()
    monkeypatch.setattr("sys.stderr", out)
    handler = LogsAfter()
    logging.getLogger().addHandler(handler)
    yield out
    logging.getLogger().removeHandler(handler)
    tell_logs()


def display() -> Display:
    return make_display("plain", BytesIO())


def test_a_line_waits_for_the_end(told: StringIO) -> None:
    drawn = display()
    logging.getLogger("croze").warning("%s", "careful")
    assert told.getvalue() == ""
    drawn.close()
    drawn.close()
    assert told.getvalue() == "careful\n"
    logging.getLogger("croze").warning("again")
    assert told.getvalue() == "careful\nagain\n"


def test_of_two_displays_for_the_later_end(told: StringIO) -> None:
    first, second = display(), display()
    logging.getLogger("croze").warning("careful")
    second.close()
    assert told.getvalue() == ""
    first.close()
    assert told.getvalue() == "careful\n"


def test_a_display_that_makes_way(told: StringIO) -> None:
    shown = PausedDisplay(display(), display)
    logging.getLogger("croze").warning("careful")
    with shown.paused():
        assert told.getvalue() == "careful\n"
    shown.close()


def test_one_that_nobody_closes(told: StringIO) -> None:
    display()
    logging.getLogger("croze").warning("careful")
    tell_logs()
    assert told.getvalue() == "careful\n"
