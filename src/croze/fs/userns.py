"""User namespaces (user_namespaces(7)): what their root can't do that the machine's root can."""

from __future__ import annotations

from functools import cache
from pathlib import Path

UID_MAP = Path("/proc/self/uid_map")
_EVERY_ID = ["0", "0", "4294967295"]


@cache
def in_user_namespace(uid_map: Path = UID_MAP) -> bool:
    """Whether users here are not all the machine's own."""
    try:
        return uid_map.read_text("ascii").split() != _EVERY_ID
    except OSError:
        return False


def overlay_xattr(name: str) -> str:
    """The xattr that overlayfs keeps its note `name` in. Those that begin with `trusted.` are out
    of reach in a user namespace: there overlays are mounted with `userxattr`."""
    return f"{'user' if in_user_namespace() else 'trusted'}.overlay.{name}"
