"""No files import one another in a circle, nor folders beside each other, type-only and late
imports counted."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.syntax import nodes

pytestmark = pytest.mark.sources

SRC = Path(__file__).resolve().parent.parent / "src" / "croze"


def test_no_circles() -> None:
    assert list(circles(imports())) == []


def test_no_circles_of_folders() -> None:
    assert list(folder_circles(imports())) == []


def test_a_circle_of_folders_is_found() -> None:
    graph = {"p.x.a": {"p.y.b"}, "p.y.b": {"q"}, "p.y.c": {"p.x.d"}, "p.x.d": {"p"}}
    packages = {name: set[str]() for name in ("p", "p.x", "p.y", "q")}
    assert list(folder_circles({**graph, **packages})) == [("p", frozenset({"x", "y"}))]


def test_a_circle_is_found() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": {"d2"}, "d2": set[str]()}
    assert list(circles(graph)) == [frozenset("abc")]


def imports() -> dict[str, set[str]]:
    """Which files each file imports, by dotted names below `croze`."""
    files = {_name(path): path for path in SRC.rglob("*.py") if "_pb2" not in path.name}
    return {name: set(_imported(path, files)) - {name} for name, path in files.items()}


def folder_circles(graph: Mapping[str, set[str]]) -> Iterator[tuple[str, frozenset[str]]]:
    """Parts of one folder, its folders each as a whole, that import one another, and the folder."""
    folders = {name.rpartition(".")[0] for name in graph} - {""}
    for folder in sorted(folders):
        below = f"{folder}."
        parts: dict[str, set[str]] = {}
        for name, imported in graph.items():
            if name.startswith(below):
                others = {_part(each, below) for each in imported if each.startswith(below)}
                parts.setdefault(_part(name, below), set()).update(others)
        yield from ((folder, circle) for circle in circles(parts))


def _part(name: str, below: str) -> str:
    return name.removeprefix(below).partition(".")[0]


def _name(path: Path) -> str:
    parts = path.relative_to(SRC).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imported(path: Path, files: Mapping[str, Path]) -> Iterator[str]:
    for node in nodes(path.read_text(encoding="utf-8")):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            inner = [f"{module}.{alias.name}" for alias in node.names]
            found = [name if _below(name) in files else module for name in inner]
        else:
            continue
        yield from (_below(name) for name in found if _below(name) in files)


def _below(name: str) -> str:
    return name.removeprefix("croze").removeprefix(".") if name.startswith("croze") else "-"


def circles(graph: Mapping[str, set[str]]) -> Iterator[frozenset[str]]:
    """Strongly connected components of more than one file (Tarjan)."""
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    path: list[str] = []

    def visit(node: str) -> Iterator[frozenset[str]]:
        number[node] = lowest[node] = len(number)
        path.append(node)
        for next in sorted(graph[node]):
            if next not in number:
                yield from visit(next)
                lowest[node] = min(lowest[node], lowest[next])
            elif next in path:
                lowest[node] = min(lowest[node], number[next])
        if lowest[node] == number[node]:
            at = path.index(node)
            component = frozenset(path[at:])
            del path[at:]
            if len(component) > 1:
                yield component

    for node in graph:
        if node not in number:
            yield from visit(node)
