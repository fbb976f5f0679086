"""A line typed at a raw terminal."""

from __future__ import annotations

import pytest

from croze.debug.line import LineEditor


def typed(keys: str) -> list[str]:
    editor = LineEditor("> ", lambda _text: None)
    editor.begin()
    lines = []
    for byte in keys.encode():
        line = editor.typed(bytes([byte]))
        if line is not None:
            lines.append(line)
            editor.begin()
    return lines


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ("ab\r", "ab"),
        ("abc\x7f\x7fd\r", "ad"),
        ("ac\x1b[Db\r", "abc"),
        ("bc\x01a\x05d\r", "abcd"),
        ("bc\x1b[Ha\x1b[Fd\r", "abcd"),
        ("one two \x17x\r", "one x"),
        ("one\x15two\r", "two"),
        ("abc\x1b[D\x1b[D\x0b\r", "a"),
        ("abc\x1b[D\x1b[3~\r", "ab"),
        ("é\x1b[Z\x00ü\r", "éü"),
    ],
)
def test_keys_change_the_line(keys: str, line: str) -> None:
    assert typed(keys) == [line]


def test_lines_are_called_back() -> None:
    assert typed("one\rtwo\r\x1b[A\x1b[A\r") == ["one", "two", "one"]
    assert typed("one\r\x1b[A\x1b[B\x1b[B\r") == ["one", ""]


@pytest.mark.parametrize("keys", ["\x04", "\x03", "a\x03"])
def test_the_end_of_input_ends_the_line(keys: str) -> None:
    with pytest.raises(EOFError):
        typed(keys)


def test_what_is_shown() -> None:
    shown: list[str] = []
    editor = LineEditor("> ", shown.append)
    editor.begin()
    for key in (b"a", b"b", b"\x1b", b"[", b"D", b"c"):
        editor.typed(key)
    assert shown == ["> ", "a", "b", "\r> ab\x1b[K\x1b[1D", "\r> acb\x1b[K\x1b[1D"]


def test_a_sequence_without_end_is_no_key() -> None:
    editor = LineEditor("", lambda _text: None)
    editor.begin()
    for byte in b"\x1b[" + b"1;" * 1000:
        assert editor.typed(bytes([byte])) is None
    assert len(editor._pending) <= 32
