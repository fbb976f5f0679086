"""Small Dockerfiles that once went another way than in BuildKit, and what BuildKit says of them.

`corners.json`: `text`, `opts` as in the golden cases, and `want`: the digests of the results, or
the error; the warnings, and the error of the lint request if there is one.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.golden import dockerfile_cases

CORNERS: list[dict[str, Any]] = json.loads(Path(__file__).with_name("corners.json").read_bytes())


def summary(answer: dict[str, Any]) -> dict[str, Any]:
    """What matters of an answer in the golden cases' form."""
    lint = answer.get("lint", {})
    found = {
        "digests": [build["definition"][-1:] for build in answer.get("builds", [])],
        "error": answer.get("error", {}).get("message"),
        "warnings": [f"{w['rule']}: {w['message']}" for w in answer.get("warnings", [])],
        "lint_error": lint.get("build_error", {}).get("message"),
    }
    found["digests"] = [op["digest"] for ops in found["digests"] for op in ops]
    return {key: value for key, value in found.items() if value}


@pytest.mark.parametrize("corner", CORNERS, ids=lambda corner: str(corner["name"]))
async def test_a_corner_of_the_language_is_as_recorded(corner: dict[str, Any]) -> None:
    opts = {"opts": {}, **corner.get("opts", {})}
    answer = await dockerfile_cases.answer(corner["text"].encode(), opts)
    assert summary(answer) == corner["want"]
