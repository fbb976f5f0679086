"""Slash paths as Go's `path` package sees them, and the order of directory entries.

Names are `str` with undecodable bytes as surrogate escapes; order is always that of the bytes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from posixpath import normpath
from typing import Final

from croze.gotypes.glob import has_wildcards

NO_NAMES: Final = frozenset(("", ".", ".."))
"""What stands for another directory, or for none, where a name should be."""


def clean(path: str) -> str:
    """The shortest equal path; `.` for an empty one (`path.Clean`)."""
    result = normpath(path)
    return result[1:] if result.startswith("//") else result


def join(*parts: str) -> str:
    """Join without absolute parts starting over, then clean; empty for nothing (`path.Join`)."""
    text = "/".join(part for part in parts if part)
    return clean(text) if text else ""


def rooted(path: str) -> str:
    """The path below `/`, cleaned: `..` can't leave."""
    return clean("/" + path)


def base(path: str) -> str:
    """The last component; `.` for empty, `/` for the root (`path.Base`)."""
    if not path:
        return "."
    stripped = path.rstrip("/")
    return stripped[stripped.rfind("/") + 1 :] if stripped else "/"


def dirname(path: str) -> str:
    """All but the last component, cleaned (`path.Dir`)."""
    return clean(path[: path.rfind("/") + 1])


def split_wildcards(path: str) -> tuple[str, str]:
    """The longest run of leading components without wildcards, and the rest (may be empty)."""
    parts = [part or "/" for part in join(path).split("/")] if path else [""]
    for i, part in enumerate(parts):
        if has_wildcards(part):
            return join(*parts[:i]), join(*parts[i:])
    return join(*parts), ""


def name_key(name: str) -> bytes:
    """Sort key for one name: its bytes."""
    return os.fsencode(name)


def sorted_names(names: Iterable[str]) -> list[str]:
    """Sort as bytes; code points sort alike unless surrogate escapes are there."""
    result = list(names)
    if all(map(str.isascii, result)):
        result.sort()
    else:
        result.sort(key=name_key)
    return result
