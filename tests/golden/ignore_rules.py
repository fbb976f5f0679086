"""`ignore.json`: ignore patterns and ignore files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from croze.errors import CrozeError
from croze.fs.match.ignore import read_ignore_file
from croze.fs.match.patterns import MatchState, PatternMatcher
from tests.golden.case import Case
from tests.golden.difference import differences


def cases(folder: Path) -> Iterator[Case]:
    path = folder / "ignore.json"
    if not path.is_file():
        return
    corpus = json.loads(path.read_bytes())
    for entry in corpus.get("match", []):
        name = f"match {entry['patterns']} {entry['path']!r}"
        yield Case("ignore", name, partial(_check, answer, entry))
    for entry in corpus.get("files", []):
        name = f"file {entry['text']!r}"
        yield Case("ignore", name, partial(_check, read, entry))


def _check(ask: Callable[[dict[str, Any]], dict[str, Any]], entry: dict[str, Any]) -> list[str]:
    return differences(entry["want"], ask(entry))


def answer(entry: dict[str, Any]) -> dict[str, Any]:
    try:
        matcher = PatternMatcher(entry["patterns"])
    except CrozeError as err:
        return {"compile_error": str(err)}
    found: dict[str, Any] = {
        "cleaned": [("!" if p.exclusion else "") + p.text for p in matcher.patterns],
        "has_exclusions": matcher.has_exclusions,
    }
    try:
        found["or_parent"] = matcher.matches_or_parent(entry["path"])
    except CrozeError as err:
        found["match_error"] = str(err)
    try:
        found["walk"] = list(_walk(matcher, entry["path"]))
    except CrozeError as err:
        found["walk_error"] = str(err)
    return found


def _walk(matcher: PatternMatcher, path: str) -> Iterator[bool]:
    state: MatchState | None = None
    parts = path.split("/")
    for count in range(1, len(parts) + 1):
        hit, state = matcher.walk_match("/".join(parts[:count]), state)
        yield hit


def read(entry: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"patterns": read_ignore_file(entry["text"].encode())}
    except CrozeError as err:
        return {"error": str(err)}
