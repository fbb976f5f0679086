"""Source files as syntax trees, for tests that look at them."""

from __future__ import annotations

import ast
import gc


def parse(source: str) -> ast.Module:
    """The tree. Nothing in it is garbage yet: looking for some takes four times as long."""
    collects = gc.isenabled()
    gc.disable()
    try:
        return ast.parse(source)
    finally:
        if collects:
            gc.enable()
