"""Expressions against what Go's `regexp` answered."""

from __future__ import annotations

import pytest

from croze.gotypes.regexp import BadExpression, Match, Regexp

MISTAKES = [
    ("a(", "missing closing ): `a(`"),
    ("a)", "unexpected ): `a)`"),
    ("[a", "missing closing ]: `[a`"),
    ("a{1001}", "invalid repeat count: `{1001}`"),
    ("a**", "invalid nested repetition operator: `**`"),
    ("*a", "missing argument to repetition operator: `*`"),
    ("[b-a]", "invalid character class range: `b-a`"),
    ("[[:foo:]]", "invalid character class range: `[:foo:]`"),
    ("\\q", "invalid escape sequence: `\\q`"),
    ("a\\", "trailing backslash at end of expression: ``"),
    ("(?P<n", "invalid named capture: `(?P<n`"),
]


@pytest.mark.parametrize(("text", "message"), MISTAKES)
def test_mistakes(text: str, message: str) -> None:
    with pytest.raises(BadExpression) as caught:
        Regexp(text)
    assert str(caught.value) == f"error parsing regexp: {message}"


def test_what_would_take_too_much_is_refused() -> None:
    for text in ("[^/]{1,1000}" * 40, "\\pL" * 300, "(?:.{100}){100}" * 100):
        with pytest.raises(BadExpression):
            Regexp(text)


def test_replacing() -> None:
    def mark(found: Match) -> str:
        return f"<{found[0]}>"

    assert Regexp("x*").replace("abxc", mark) == "<>a<>b<x>c<>"
    assert Regexp("é").replace("aéé", mark) == "a<é><é>"
    assert Regexp("a").replace("\udcffa", mark) == "\ufffd<a>"


def test_where_and_groups() -> None:
    assert Regexp("é+").span("aéébé") == (1, 3)
    assert Regexp("z").span("a") is None
    found = Regexp("(?P<head>a+)(-(b))?").fullmatch("aa")
    assert found is not None
    assert [found[0], found["head"], found[3], found[9], found["none"]] == ["aa", "aa", "", "", ""]
    assert Regexp("[^/]").search("\udcff")
    assert not Regexp("^b").search("ab")


def test_nothing_backtracks() -> None:
    """Each of these takes `re` longer than the world has been there."""
    for text in (
        "(a+)+$",
        "^(?:.*/)?" * 50 + "x$",
        "(a|aa)+$",
        "(?:a?){60}a{60}$",
        "a*" * 99 + "b",
    ):
        assert not Regexp(text).search("a" * 1000 + "!")
