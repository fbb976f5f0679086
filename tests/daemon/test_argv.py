"""Command lines in Go's manner."""

from __future__ import annotations

import pytest

from croze.daemon.argv import boolean, number, split
from croze.errors import InvalidRequest

FLAGS = ("debug", "addr", "root")


@pytest.mark.parametrize(
    ("words", "given"),
    [
        ("-debug", {"debug": ["true"]}),
        ("--debug=false", {"debug": ["false"]}),
        ("--debug false", {"debug": ["true"]}),
        ("-addr a --addr=b", {"addr": ["a", "b"]}),
        ("--root=a=b", {"root": ["a=b"]}),
        ("--root=", {"root": [""]}),
        ("extra -root x more", {"root": ["x"]}),
        ("--root -x", {"root": ["-x"]}),
        ("- -root x", {"root": ["x"]}),
        ("-root x -- -debug", {"root": ["x"]}),
    ],
)
def test_spellings(words: str, given: dict[str, list[str]]) -> None:
    assert split(words.split(), FLAGS, {"debug"}) == given


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--nope", "flag provided but not defined: -nope"),
        ("-Debug", "flag provided but not defined: -Debug"),
        ("--no-debug", "flag provided but not defined: -no-debug"),
        ("--root", "flag needs an argument: --root"),
    ],
)
def test_mistakes(words: str, message: str) -> None:
    with pytest.raises(InvalidRequest, match=f"^{message}$"):
        split(words.split(), FLAGS, {"debug"})


def test_go_values() -> None:
    assert [boolean(text, "x") for text in ("1", "T", "true", "", "0", "F")] == [True] * 4 + [
        False,
        False,
    ]
    assert [number(text, "x") for text in ("10", "0x10", "1_0")] == [10, 16, 10]
    with pytest.raises(InvalidRequest, match='invalid value "maybe" for flag -x: parse error'):
        boolean("maybe", "x")
    with pytest.raises(InvalidRequest, match='invalid value "x" for flag -n'):
        number("x", "n")
