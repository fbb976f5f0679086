"""The option `lowerdir=` of an overlay mount (overlayfs.rst)."""

from __future__ import annotations

from collections.abc import Sequence


def join_lowers(dirs: Sequence[str]) -> str:
    """The value of `lowerdir=`: topmost first, colons escaped as overlayfs wants them."""
    return ":".join(d.replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,") for d in dirs)


def split_lowers(value: str) -> list[str]:
    """Inverse of `join_lowers`."""
    dirs, current, escaped = [], "", False
    for char in value:
        if escaped:
            current, escaped = current + char, False
        elif char == "\\":
            escaped = True
        elif char == ":":
            dirs.append(current)
            current = ""
        else:
            current += char
    return [*dirs, current] if value else []
