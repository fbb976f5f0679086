"""Files and functions that can be held in mind: longer ones are split by what they are about."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.syntax import nodes

pytestmark = pytest.mark.sources

ROOT = Path(__file__).resolve().parent.parent
MOST_LINES = 400
MOST_IN_A_FUNCTION = 45
"""Of its body: what it takes and the docstring do not count."""


def written(tops: tuple[str, ...] = ("src", "tests", "bench", "scripts")) -> list[Path]:
    """All that was not generated."""
    every = [path for top in tops for path in sorted((ROOT / top).rglob("*.py"))]
    return [path for path in every if not path.stem.endswith(("_pb2", "_pb2_grpc"))]


def long_functions(source: str, most: int) -> Iterator[str]:
    for node in nodes(source):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            has_text = ast.get_docstring(node, clean=False) is not None
            body = node.body[1:] if has_text else node.body
            length = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
            if length > most:
                yield f"{node.lineno}: {node.name}: {length} lines"


def test_files_are_short() -> None:
    lengths = {path: path.read_text("utf-8").count("\n") for path in written()}
    long = {str(p.relative_to(ROOT)): n for p, n in lengths.items() if n > MOST_LINES}
    assert not long


def test_functions_are_short() -> None:
    long = [
        f"{path.relative_to(ROOT)}:{each}"
        for path in written()
        for each in long_functions(path.read_text("utf-8"), MOST_IN_A_FUNCTION)
    ]
    assert not long, "\n".join(long)


def test_the_check_sees() -> None:
    source = 'def f():\n    """It\n    is."""\n    a()\n    b()\n    c()\n'
    assert list(long_functions(source, 2)) == ["1: f: 3 lines"]
    assert not list(long_functions(source, 3))
