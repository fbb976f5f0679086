"""Times and sizes of records, in buildx's words."""

from __future__ import annotations

from croze.gotypes.sizes import binary_size


def go_seconds(seconds: float) -> str:
    """A span of time such as `0.3s`, `2m 5s`."""
    if seconds < 60:
        return f"{seconds:.1f}s"
    return f"{int(seconds // 60)}m {int(seconds) % 60:2d}s"


def shown_bytes(text: str) -> str:
    """A number of bytes as a size; what is none stays as it is."""
    return binary_size(int(text)) if text.isdecimal() else text
