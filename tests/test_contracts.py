"""Each contract shows one worked example, of names that it has."""

from __future__ import annotations

import ast
import re
import textwrap
from pathlib import Path

import pytest

pytestmark = pytest.mark.sources

SRC = Path(__file__).resolve().parent.parent / "src" / "croze"
CONTRACTS = sorted(str(p.relative_to(SRC)) for p in SRC.rglob("contract.py"))
OTHERS = {"digest", "extend", "info", "release"}
"""Attributes of what is no part of a contract: of descriptors, buffers, clients and refs."""


def example(tree: ast.Module) -> ast.Module:
    """The indented lines of the module's docstring."""
    lines = (ast.get_docstring(tree, clean=False) or "").splitlines()
    code = [line for line in lines if line.startswith("    ") or not line]
    return ast.parse(textwrap.dedent("\n".join(code)))


def names(tree: ast.Module) -> set[str]:
    """What a contract defines or imports, its methods, fields and parameters among it."""
    found: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name):
                found.add(name)
            case ast.AsyncFunctionDef(name=name) | ast.alias(name=name) | ast.arg(arg=name):
                found.add(name)
            case ast.AnnAssign(target=ast.Name(id=name)):
                found.add(name)
    return found


def unknown(tree: ast.Module) -> set[str]:
    """Attributes, types and keywords of the example that the contract does not know."""
    used: set[str] = set()
    for node in ast.walk(example(tree)):
        match node:
            case ast.Attribute(attr=name) | ast.keyword(arg=str(name)):
                used.add(name)
            case ast.Name(id=name) if re.match("[A-Z]", name):
                used.add(name)
    return used - names(tree) - OTHERS


@pytest.mark.parametrize("path", CONTRACTS)
def test_a_contract_shows_an_example(path: str) -> None:
    tree = ast.parse((SRC / path).read_text("utf-8"))
    assert example(tree).body, "no lines that are indented in its docstring"
    assert not unknown(tree)


def test_the_check_sees() -> None:
    docstring = '"""It.\n\nSo:\n\n    found = await a.get(B(x=1))\n"""\n'
    tree = ast.parse(f"{docstring}class A:\n  def get(self): ...\n")
    assert unknown(tree) == {"B", "x"}
