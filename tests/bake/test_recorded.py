"""Expressions and small files with what buildx made of them: the value, or the error.

The JSON files here are recordings. An expression stands in
`args = { A = jsonencode(…) }`, on the third line.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from croze.bake.errors import BakeError
from croze.errors import CrozeError
from tests.bake.world import printed

HERE = Path(__file__).parent


def recorded(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((HERE / name).read_bytes())
    return found


@pytest.mark.parametrize("case", recorded("expressions.json"), ids=lambda c: c["expression"])
def test_expressions_give_what_buildx_gave(case: dict[str, Any]) -> None:
    expression = case["expression"]
    expression += "\n" if expression.startswith("<<") else ""
    file = f'target "default" {{\n  args = {{\n    A = jsonencode({expression})\n  }}\n}}\n'
    try:
        got: dict[str, object] = {"value": printed(file)["target"]["default"]["args"]}
    except BakeError as error:
        got = {"error": str(error)}
    wanted = {"value": {"A": case["value"]}} if "value" in case else {"error": case["error"]}
    assert got == wanted


@pytest.mark.parametrize("case", recorded("compose_files.json"), ids=lambda c: c["file"])
def test_compose_files_give_what_buildx_gave(case: dict[str, Any]) -> None:
    assert outcome({"compose.yaml": case["file"]}) == told(case)


@pytest.mark.parametrize("case", recorded("files.json"), ids=lambda c: c["file"][:60])
def test_files_give_what_buildx_gave(case: dict[str, Any]) -> None:
    assert outcome({"docker-bake.hcl": case["file"]}) == told(case)


def outcome(files: dict[str, str]) -> dict[str, object]:
    try:
        return {"value": printed(files, checked=True)}
    except CrozeError as error:
        return {"error": str(error)}


def told(case: dict[str, Any]) -> dict[str, Any]:
    return {key: case[key] for key in ("value", "error") if key in case}
