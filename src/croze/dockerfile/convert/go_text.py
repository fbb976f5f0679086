"""Values in history rows, the way Go's `fmt` prints them."""

from __future__ import annotations

from collections.abc import Sequence

from croze.gotypes.quote import quote


def list_text(items: Sequence[str]) -> str:
    """`[a b]`."""
    return f"[{' '.join(items)}]"


def quoted_list_text(items: Sequence[str]) -> str:
    """`["a" "b"]`."""
    return list_text([quote(item) for item in items])
