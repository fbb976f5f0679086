"""Lines of a file around those that are meant."""

from __future__ import annotations

from croze.errors import Position, Range
from croze.excerpt import marked_lines

TEXT = "1\n2\n3\n4\n5\n6\n7\n"


def lines(start: int, end: int = 0) -> tuple[Range, ...]:
    return (Range(Position(start), Position(end)),)


def test_lines_are_marked() -> None:
    shown = marked_lines("f", TEXT, lines(4)).splitlines()
    assert shown[0] == "f:4"
    assert shown[2:-1] == [
        "   2 |     2",
        "   3 |     3",
        "   4 | >>> 4",
        "   5 |     5",
        "   6 |     6",
    ]


def test_places_that_are_not_there() -> None:
    """Whoever answers a client may say anything."""
    assert marked_lines("f", TEXT, lines(99)) == ""
    assert marked_lines("f", TEXT, lines(0)) == ""
    assert marked_lines("f", TEXT, ()) == ""
    assert marked_lines("f", TEXT, lines(7, 1 << 62)).splitlines()[-2:-1] == ["   8 | >>> "]
