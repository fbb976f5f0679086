"""docs/solver.md tells where what is: each file of the solver once, after those that it imports."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.sources

ROOT = Path(__file__).resolve().parents[2]
SOLVER = ROOT / "src" / "croze" / "solver"


def listed() -> list[str]:
    text = (ROOT / "docs" / "solver.md").read_text("utf-8")
    _, _, table = text.partition("## Where it is")
    cells = re.findall(r"^\| (`[^|]*) \|", table, re.MULTILINE)
    return [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]


def test_each_file_stands_once_in_the_table() -> None:
    assert sorted(listed()) == sorted(p.stem for p in SOLVER.glob("*.py") if p.stem != "__init__")


def test_each_imports_what_stands_before_it() -> None:
    places = {name: place for place, name in enumerate(listed())}
    upwards = [
        f"{path.stem} -> {other}"
        for path in SOLVER.glob("*.py")
        for other in re.findall(r"from croze\.solver\.(\w+) import", path.read_text("utf-8"))
        if places.get(path.stem, len(places)) < places[other]
    ]
    assert not upwards
