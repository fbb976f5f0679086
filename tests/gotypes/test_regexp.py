"""Expressions against what Go's `regexp` answered."""

from __future__ import annotations

import pytest

from croze.gotypes.regexp import BadExpression, Expression, Match

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
        Expression(text)
    assert str(caught.value) == f"error parsing regexp: {message}"


def test_what_would_take_too_much_is_refused() -> None:
    for text in ("[^/]{1,1000}" * 40, "\\pL" * 300, "(?:.{100}){100}" * 100):
        with pytest.raises(BadExpression):
            Expression(text)


def test_replacing() -> None:
    def mark(found: Match) -> str:
        return f"<{found[0]}>"

    assert Expression("x*").replace("abxc", mark) == "<>a<>b<x>c<>"
    assert Expression("é").replace("aéé", mark) == "a<é><é>"
    assert Expression("a").replace("\udcffa", mark) == "\ufffd<a>"


def test_where_and_groups() -> None:
    assert Expression("é+").span("aéébé") == (1, 3)
    assert Expression("z").span("a") is None
    found = Expression("(?P<head>a+)(-(b))?").fullmatch("aa")
    assert found is not None
    assert [found[0], found["head"], found[3], found[9], found["none"]] == ["aa", "aa", "", "", ""]
    assert Expression("[^/]").search("\udcff")
    assert not Expression("^b").search("ab")


def test_nothing_backtracks() -> None:
    """Each of these takes `re` longer than the world has been there."""
    for text in (
        "(a+)+$",
        "^(?:.*/)?" * 50 + "x$",
        "(a|aa)+$",
        "(?:a?){60}a{60}$",
        "a*" * 99 + "b",
    ):
        assert not Expression(text).search("a" * 1000 + "!")
