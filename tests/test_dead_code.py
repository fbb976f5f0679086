"""Code that nothing uses goes: every name that is defined in `croze` is said elsewhere in it, too.

By names alone, so that some of what is dead goes unseen where others have the same name; what is
found here is dead, or it is for those who import `croze`, for tests, or called by a library.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.syntax import parse

pytestmark = pytest.mark.sources

SRC = Path(__file__).resolve().parent.parent / "src" / "croze"

KEPT = {
    # called by libraries, by these names
    *(
        "format_help",
        "_print_message",
        "add_generic_rpc_handlers",
        "add_registered_method_handlers",
        "readinto",
        "seekable",
        "_fields_",
    ),
    # for those who import croze
    "with_state",
    # a reference that keeps its object alive
    "keeps",
    # what tests look at, or put in place of the real thing
    *("Validator", "check_steps", "check_store", "OLD_FIELDS"),
}

WORDS = re.compile(r"[\w.:]+")


def said(tree: ast.AST) -> Iterator[str]:
    """Names that are used, in code and in texts that are nothing but names."""
    for node in ast.walk(tree):
        match node:
            case (
                ast.Name(id=name, ctx=ast.Load()) | ast.Attribute(attr=name) | ast.alias(name=name)
            ):
                yield from name.split(".")
            case ast.keyword(arg=str(name)):
                yield name
            case ast.MatchClass(kwd_attrs=names):
                yield from names
            case ast.Constant(value=str(text)) if WORDS.fullmatch(text):
                yield from re.split("[.:]", text)


def defined(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Functions, methods, classes and constants. Fields of a class are formats as often as not."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield node.lineno, name
            case ast.ClassDef(name=name):
                yield node.lineno, name
            case ast.Module(body=body):
                for statement in body:
                    yield from constants(statement)


def constants(statement: ast.stmt) -> Iterator[tuple[int, str]]:
    targets: list[ast.expr] = []
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AnnAssign):
        targets = [statement.target]
    for target in targets:
        if isinstance(target, ast.Name):  # several at once are a format's numbers
            yield statement.lineno, target.id


def unread(trees: dict[str, ast.Module]) -> list[str]:
    """Attributes of one's own that are set, and looked at by nobody."""
    read = {
        node.attr
        for tree in trees.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)
    }
    return [
        f"{path}:{node.lineno}: self.{node.attr}"
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and ast.unparse(node.value) == "self"
        and node.attr not in read | KEPT
    ]


def dead(sources: dict[str, str]) -> list[str]:
    trees = {path: parse(source) for path, source in sources.items()}
    used = Counter(name for tree in trees.values() for name in said(tree))
    return unread(trees) + [
        f"{path}:{line}: {name}"
        for path, tree in trees.items()
        for line, name in defined(tree)
        if not used[name] and name not in KEPT and not name.startswith("__")
    ]


def test_nothing_is_dead() -> None:
    files = sorted(p for p in SRC.rglob("*.py") if "_pb2" not in p.name)
    found = dead({str(p.relative_to(SRC)): p.read_text(encoding="utf-8") for p in files})
    assert not found, "\n".join(found)


def test_the_check_sees() -> None:
    source = "A = 1\nB: int = 2\ndef f(): return A\nclass C:\n  def m(self): ...\nf()"
    assert dead({"x": source}) == ["x:2: B", "x:4: C", "x:5: m"]
    assert dead({"x": source, "y": "getattr(C(B), 'm')"}) == []
    source = "class C:\n  def f(self):\n    self.a = self.b = 1\n    return self.a\nC().f()"
    assert dead({"x": source}) == ["x:3: self.b"]
