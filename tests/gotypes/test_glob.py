"""Single patterns against what Go's `filepath.Match` answered, and patterns that mean harm."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from croze.fs.match.patterns import PatternMatcher
from croze.gotypes import glob

ANSWERS = json.loads(Path(__file__).with_name("glob_go.json").read_bytes())
HOSTILE = ["*a" * 120 + "b", "*" * 5000 + "b", "[^x]*" * 100 + "b", "?*" * 127 + "ab", "*?" * 127]


@pytest.mark.parametrize(("pattern", "name", "want"), ANSWERS)
def test_matches_like_go(pattern: str, name: str, want: bool | str) -> None:
    if isinstance(want, str):
        with pytest.raises(glob.BadPattern):
            glob.fits_so_far(pattern, name)
        return
    assert glob.fits_so_far(pattern, name) is want
    with contextlib.suppress(glob.BadPattern):  # here also for what is behind a mismatch
        assert glob.match(pattern, name) is want


@pytest.mark.parametrize(
    ("pattern", "name", "want"),
    [
        ("*", "abc", True), ("*", "a/b", False), ("a?c", "abc", True), ("a?c", "a/c", False),
        ("[a-c]x", "bx", True), ("[^a-c]x", "bx", False), ("[^a]", "/", True), (r"\*", "*", True),
        (r"[\]]", "]", True), ("a*b*c", "a1b2c", True), ("", "", True), ("a", "ab", False),
        ("*\n", "x\n", True), ("[c-a]", "b", False), ("é?", "éü", True),
    ],
)  # fmt: skip
def test_glob(pattern: str, name: str, want: bool) -> None:
    assert glob.match(pattern, name) is want


@pytest.mark.parametrize("pattern", ["[", "[a", "[]a]", "[-a]", "a\\", "[a-]", "[^]", "x[\\"])
def test_bad_globs(pattern: str) -> None:
    with pytest.raises(glob.BadPattern, match="syntax error in pattern"):
        glob.match(pattern, "")


def test_wildcards_may_be_escaped() -> None:
    assert glob.has_wildcards("a*")
    assert glob.has_wildcards("a[b]")
    assert not glob.has_wildcards("a\\*")
    assert glob.has_wildcards("a\\\\?")


class Counting:
    """In place of a chunk's expression: counts how often it is asked and how far it may look."""

    def __init__(self, expression: re.Pattern[str], work: list[int]) -> None:
        self._expression, self._work = expression, work

    def match(self, name: str, begin: int) -> re.Match[str] | None:
        self._work[0] += 1
        return self._expression.match(name, begin)

    def search(self, name: str, begin: int, end: int) -> re.Match[str] | None:
        found = self._expression.search(name, begin, end)
        self._work[0] += (found.end() if found else min(end, len(name))) - begin
        return found


def counted(pattern: str, name: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many places of a name are looked at."""
    compiled = glob.Glob(pattern)
    work = [0]
    for chunk in compiled._chunks:
        monkeypatch.setattr(chunk, "_expression", Counting(chunk._expression, work))
    compiled.matches(name)
    return work[0]


@pytest.mark.parametrize("pattern", HOSTILE)
def test_each_place_of_a_name_is_looked_at_once(
    pattern: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for length in (255, 510, 4096):
        assert counted(pattern, "a" * length, monkeypatch) <= 2 * length + 2


def names() -> Iterator[str]:
    for number in range(10_000):
        yield "/".join(["a" * 30] * 6) + f"/aaaaaaaa{number}"


@pytest.mark.parametrize(
    "pattern",
    [
        "*a" * 100 + "b",
        "**/" * 100 + "b",
        "**/a*" * 40 + "b",
        "|a*" * 100 + "b",
        "a|" + "**/*a|" * 50 + "b",
        "a{1,500}" * 3 + "b",
        "**a**a**a**a**a**a**a**b",
    ],
)
@pytest.mark.timeout(60)
def test_ten_thousand_files_and_a_hostile_pattern(pattern: str) -> None:
    """Whatever backtracks does not get beyond the first."""
    matcher = PatternMatcher([pattern, "!" + pattern])
    assert not any(matcher.matches_or_parent(name) for name in names()), "it is taken back"
