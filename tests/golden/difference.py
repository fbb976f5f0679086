"""Readable differences between two JSON values."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

MISSING = object()
_BYTES = re.compile("[\udc80-\udcff]")
_MAX_TEXT = 160
_MAX_LINES = 12


def differences(want: object, got: object, path: str = "") -> list[str]:
    """One line per unequal place, the first dozen of them."""
    lines = list(_compare(want, got, path))
    if len(lines) > _MAX_LINES:
        rest = len(lines) - _MAX_LINES
        lines[_MAX_LINES:] = [f"... and {rest} more"]
    return lines


def _compare(want: object, got: object, path: str) -> Iterator[str]:
    if isinstance(want, dict) and isinstance(got, dict):
        for key in sorted({*want, *got}, key=str):
            inner = f"{path}.{key}" if path else str(key)
            yield from _compare(want.get(key, MISSING), got.get(key, MISSING), inner)
    elif isinstance(want, list) and isinstance(got, list):
        yield from _compare_lists(want, got, path)
    elif want != _recorded(got) or isinstance(want, bool) != isinstance(got, bool):
        yield f"{path or 'value'}: want {_show(want, got)}"
        yield f"{' ' * len(path or 'value')}   got {_show(got, want)}"


def _recorded(value: object) -> object:
    """As the corpus can hold it: bytes that aren't UTF-8 are U+FFFD there."""
    return _BYTES.sub("\ufffd", value) if isinstance(value, str) else value


def _compare_lists(want: list[object], got: list[object], path: str) -> Iterator[str]:
    for index in range(max(len(want), len(got))):
        left = want[index] if index < len(want) else MISSING
        right = got[index] if index < len(got) else MISSING
        yield from _compare(left, right, f"{path}[{index}]")


def _show(value: object, other: object) -> str:
    if value is MISSING:
        return "nothing"
    if isinstance(value, str) and isinstance(other, str) and len(value) > _MAX_TEXT:
        return _show_long(value, other)
    text = json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= _MAX_TEXT else text[:_MAX_TEXT] + "…"


def _show_long(value: str, other: str) -> str:
    """Long texts are shown around the first difference."""
    at = next(
        (i for i, (a, b) in enumerate(zip(value, other, strict=False)) if a != b),
        min(len(value), len(other)),
    )
    start = max(0, at - 40)
    piece = json.dumps(value[start : start + _MAX_TEXT], ensure_ascii=False)
    return f"…{piece}… (from character {start})"
