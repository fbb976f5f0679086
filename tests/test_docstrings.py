"""What others call has a docstring: names that packages export, and methods of protocols."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.syntax import parse

pytestmark = pytest.mark.sources

ROOT = Path(__file__).resolve().parent.parent / "src"
SPOKEN_FOR = {"Doer"}
"""Protocols whose docstring sends readers elsewhere for each method."""

Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def modules() -> dict[str, ast.Module]:
    """All modules that were not generated, by their names; a package's is that of its
    `__init__`."""
    paths = [p for p in sorted(ROOT.rglob("*.py")) if not p.stem.endswith(("_pb2", "_pb2_grpc"))]
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): parse(
            path.read_text("utf-8")
        )
        for path in paths
    }


def exported(tree: ast.Module) -> list[str]:
    """The names in `__all__`."""
    return [
        name
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
        for name in ast.literal_eval(node.value)
    ]


def origin(tree: ast.Module, name: str) -> tuple[str, str] | None:
    """The module that a name is imported from, and what it is called there."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return node.module, alias.name
    return None


def text_of(tree: ast.Module, name: str) -> str | None:
    """The docstring of a name that the module defines: its own, or the text below a value."""
    for node, after in itertools.pairwise([*tree.body, ast.Pass()]):
        match node:
            case ast.ClassDef(name=found) | ast.FunctionDef(name=found) if found == name:
                return ast.get_docstring(node)
            case ast.AsyncFunctionDef(name=found) if found == name:
                return ast.get_docstring(node)
            case (
                ast.Assign(targets=[ast.Name(id=found)]) | ast.AnnAssign(target=ast.Name(id=found))
            ) if found == name:
                match after:
                    case ast.Expr(value=ast.Constant(value=str(text))):
                        return text
    return None


def silent_exports(trees: Mapping[str, ast.Module]) -> Iterator[str]:
    """Exported names without a docstring."""
    for module, tree in trees.items():
        for name in exported(tree):
            home, called = module, name
            while (found := origin(trees[home], called)) and found[0] in trees:
                home, called = found
            if not text_of(trees[home], called):
                yield f"{module}: {name}"


def silent_methods(trees: Mapping[str, ast.Module]) -> Iterator[str]:
    """Public protocols without a docstring, and methods of theirs."""
    for module, tree in trees.items():
        for node in ast.walk(tree):
            if not isinstance(node, ast.ClassDef) or node.name.startswith("_"):
                continue
            if not any(ast.unparse(base).partition("[")[0] == "Protocol" for base in node.bases):
                continue
            if not ast.get_docstring(node):
                yield f"{module}: {node.name}"
            for method in () if node.name in SPOKEN_FOR else node.body:
                if isinstance(method, Definition) and not ast.get_docstring(method):
                    yield f"{module}: {node.name}.{method.name}"


def test_what_others_call_says_what_it_is() -> None:
    trees = modules()
    assert not [*silent_exports(trees), *silent_methods(trees)]


def test_silence_is_seen() -> None:
    package = "from a.b import f, X as Y, N\n__all__ = ['f', 'Y', 'N', 'Z']\nclass Z: ...\n"
    part = 'def f(): ...\nclass X:\n  "It."\nN = 1\n"""How many."""\n'
    contract = 'class P(Protocol[T]):\n  def m(self): ...\n  def n(self):\n    "It."\n'
    trees = {name: parse(text) for name, text in {"a": package, "a.b": part}.items()}
    assert list(silent_exports(trees)) == ["a: f", "a: Z"]
    assert list(silent_methods({"c": parse(contract)})) == ["c: P", "c: P.m"]
