"""What others have written, as a terminal may be given it."""

from __future__ import annotations

import io

import pytest

from croze.files.terminals import for_terminals, visible, visible_bytes


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, \t tabbed\n", "plain, \t tabbed\n"),
        ("a line of Windows\r\n", "a line of Windows\r\n"),
        ("\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m"),
        ("\x1b]0;title\x07", "^[]0;title^G"),
        ("\x1b[2J\x1b[3A", "^[[2J^[[3A"),
        ("real\rfake", "real^Mfake"),
        ("\x9b31m\x90", "M-^[31mM-^P"),
        ("\x7f\x00", "^?^@"),
        ("äöü €", "äöü €"),
        ("rm \u202ex\u2066y\u2069", "rm <U+202E>x<U+2066>y<U+2069>"),
        ("שלום\u200f!", "שלום\u200f!"),
    ],
)
def test_what_would_be_obeyed_is_shown(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_a_step_may_draw_in_its_line() -> None:
    assert visible_bytes(b"10%\r20%\b\x1b[K\xff") == b"10%\r20%\b\x1b[K\xff"
    assert visible_bytes(b"\x1b[2J\xc2\x9b2J") == b"^[[2JM-^[2J"
    assert visible_bytes("a\u202eb\u2069é€".encode()) == "a<U+202E>b<U+2069>é€".encode()


def test_a_pipe_gets_what_there_is() -> None:
    out = io.BytesIO()
    for_terminals(out).write(b"\x1b[2J")
    assert out.getvalue() == b"\x1b[2J"
