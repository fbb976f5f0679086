"""Definitions that depend on one another in long chains."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from croze.bake.errors import BakeError

_DEEPEST: Final = 100_000
"""A variable may need another one, a target may inherit from another one, and that from the next:
as many levels as files have variables and targets."""
_GARBAGE: Final = 500_000


@contextmanager
def deep_recursion() -> Iterator[None]:
    """Let chains of references be longer than the interpreter expects calls to be deep; BakeError
    where they are too long even so. And let it look for garbage less often: what evaluation leaves
    has no cycles, and most of it stays."""
    depth, garbage = sys.getrecursionlimit(), gc.get_threshold()
    sys.setrecursionlimit(max(depth, _DEEPEST))
    gc.set_threshold(max(garbage[0], _GARBAGE))
    try:
        yield
    except RecursionError:
        raise BakeError("the definitions depend on one another too deeply") from None
    finally:
        gc.set_threshold(*garbage)
        sys.setrecursionlimit(depth)
