from __future__ import annotations

import os

import pytest

from croze.gotypes.quote import quote, quote_char


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("sh -c x", '"sh -c x"'),
        ('a"b\\', '"a\\"b\\\\"'),
        ("a\nb\t\x1b", '"a\\nb\\t\\x1b"'),
        ("é\u200b\U000e0001", '"é\\u200b\\U000e0001"'),
        (os.fsdecode(b"\xff"), '"\\xff"'),
    ],
)
def test_quotes(text: str, quoted: str) -> None:
    assert quote(text) == quoted


@pytest.mark.parametrize(("char", "quoted"), [("b", "'b'"), ("'", "'\\''"), ('"', "'\"'")])
def test_quotes_characters(char: str, quoted: str) -> None:
    assert quote_char(char) == quoted
