"""`parser.json`: syntax trees."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from msgspec.structs import asdict

from croze.dockerfile.directives import detect_syntax
from croze.dockerfile.location import DockerfileError, Ranges, locations
from croze.dockerfile.parser import InstructionNode, parse
from tests.golden.case import Case
from tests.golden.difference import differences


def cases(folder: Path) -> Iterator[Case]:
    path = folder / "parser.json"
    if not path.is_file():
        return
    for entry in json.loads(path.read_bytes()):
        yield Case("parser", entry["name"], partial(_check, entry))


def _check(entry: dict[str, Any]) -> list[str]:
    return differences(entry["want"], answer(entry["text"].encode()))


def answer(data: bytes) -> dict[str, Any]:
    """What the parser makes of a file, in the form of `want`."""
    try:
        result = parse(data)
    except DockerfileError as err:
        return {"error": {"message": str(err), "locations": [spans(r) for r in locations(err)]}}
    found: dict[str, Any] = {
        "escape": result.escape,
        "warnings": [
            {"short": w.short, "detail": list(w.detail), "url": w.url, "ranges": spans(w.location)}
            for w in result.warnings
        ],
        "lines": [result.ast[0].start_line, result.ast[-1].end_line],
        "nodes": [_node(node) for node in result.ast],
    }
    syntax = syntax_of(data)
    return found | ({"syntax": syntax} if syntax else {})


def syntax_of(data: bytes) -> dict[str, Any] | None:
    found = detect_syntax(data)
    if found is None:
        return None
    return {"ref": found.head, "cmdline": found.value, "ranges": spans(found.location)}


def spans(ranges: Ranges) -> list[list[int]]:
    """Ranges in the corpus's form."""
    return [[r.start.line, r.start.character, r.end.line, r.end.character] for r in ranges]


def _node(node: InstructionNode) -> dict[str, Any]:
    following: list[dict[str, Any]] = [{"value": arg} for arg in node.args]
    if node.trigger is not None:
        following = [{"value": "", "children": [_node(node.trigger)]}]
    optional: dict[str, Any] = {
        "next": following,
        "flags": list(node.flags),
        "attributes": ["json"] if node.json else [],
        "original": node.original,
        "lines": [node.start_line, node.end_line] if node.start_line else [],
        "comments": list(node.comments),
        "heredocs": [asdict(heredoc) for heredoc in node.heredocs],
    }
    return {"value": node.name} | {k: v for k, v in optional.items() if v}
