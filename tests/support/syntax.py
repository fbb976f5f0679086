"""Source files as syntax trees, for tests that look at them."""

from __future__ import annotations

import ast
import functools
import gc
from collections.abc import Sequence


@functools.cache
def parse(source: str) -> ast.Module:
    """The tree, which nobody changes. Nothing in it is garbage yet: looking for some takes four
    times as long."""
    collects = gc.isenabled()
    gc.disable()
    try:
        return ast.parse(source)
    finally:
        if collects:
            gc.enable()


@functools.cache
def nodes(source: str) -> Sequence[ast.AST]:
    """All of the tree, as `ast.walk` finds them, which takes as long as to parse it."""
    return tuple(ast.walk(parse(source)))


def forget() -> None:
    """Forget the trees: those of all files take 400 MB."""
    parse.cache_clear()
    nodes.cache_clear()
