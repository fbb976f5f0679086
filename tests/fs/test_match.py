"""Patterns and ignore files against what moby's own code answered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from croze.errors import CrozeError
from croze.fs.match.ignore import read_ignore_file
from croze.fs.match.patterns import MatchState, PatternMatcher

GOLDEN = json.loads(
    (Path(__file__).parent.parent / "golden/data/dockerfile/ignore.json").read_bytes()
)
CORNERS = json.loads(Path(__file__).with_name("match_corners.json").read_bytes())
"""More in that format: what is wrong behind the first mismatch goes unnoticed, and the like."""


def answer(patterns: list[str], path: str) -> dict[str, Any]:
    try:
        matcher = PatternMatcher(patterns)
    except CrozeError as error:
        return {"compile_error": str(error)}
    cleaned = [("!" if p.exclusion else "") + p.text for p in matcher.patterns]
    result: dict[str, Any] = {"cleaned": cleaned, "has_exclusions": matcher.has_exclusions}
    try:
        result["or_parent"] = matcher.matches_or_parent(path)
    except CrozeError as error:
        result["match_error"] = str(error)
    state: MatchState | None = None
    walked = []
    try:
        parts = path.split("/")
        for i in range(len(parts)):
            hit, state = matcher.walk_match("/".join(parts[: i + 1]), state)
            walked.append(hit)
        result["walk"] = walked
    except CrozeError as error:
        result["walk_error"] = str(error)
    return result


@pytest.mark.parametrize(
    "case", GOLDEN["match"] + CORNERS, ids=lambda c: f"{c['patterns']}-{c['path']}"
)
def test_matches_like_moby(case: dict[str, Any]) -> None:
    assert answer(case["patterns"], case["path"]) == case["want"]


@pytest.mark.parametrize("case", GOLDEN["files"], ids=lambda c: repr(c["text"]))
def test_reads_ignore_files(case: dict[str, Any]) -> None:
    text = case["text"].encode()
    assert {"patterns": read_ignore_file(text)} == case["want"]


def test_broken_escape_fails_only_when_tried() -> None:
    matcher = PatternMatcher(["a", r"\q"])
    assert matcher.matches_or_parent("a")
    with pytest.raises(CrozeError, match="syntax error in pattern"):
        matcher.matches_or_parent("b")


def test_fused_patterns_act_like_single_ones() -> None:
    names = ["a", "a/b", "a/b/c", "b", "b/x.go", "c/x.go", "d"]
    patterns = ["*.md", "a", "!a/b", "!d", "**/*.go", "d", "!c/**"]
    matcher = PatternMatcher(patterns)
    assert [n for n in names if matcher.matches_or_parent(n)] == ["a", "b/x.go", "d"]
