"""The last lines of a failed step's log."""

from __future__ import annotations

from croze.cli.history.failure import LAST_LINES, LONGEST, LogLines


def test_each_stream_has_its_own_lines() -> None:
    lines = LogLines()
    for stream, output in ((1, b"out\nno n"), (2, b"err\n\n"), (1, b"ewline"), (2, b"last\n")):
        lines.add(stream, output)
    assert lines.last() == ("out", "no newline", "err", "last")


def test_only_the_last_are_kept_and_not_the_whole_of_a_long_one() -> None:
    lines = LogLines()
    for number in range(40):
        lines.add(1, b"%d\n" % number)
    lines.add(1, b"x" * 9000)
    lines.add(1, b"y" * 9000)
    assert len(lines.last()) == LAST_LINES
    assert lines.last()[-2:] == ("39", "x" * LONGEST)
