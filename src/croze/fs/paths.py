"""Slash paths as Go's `path` package sees them, and the order of directory entries.

Names are `str` with undecodable bytes as surrogate escapes; order is always that of the bytes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from posixpath import normpath
from typing import Final

NO_NAMES: Final = frozenset(("", ".", ".."))
"""What stands for another directory, or for none, where a name should be."""

GO_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(
    map(chr, range(0x2000, 0x200B))
)
"""What `strings.TrimSpace` strips."""


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
