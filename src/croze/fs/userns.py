"""User namespaces (user_namespaces(7)): what their root can't do that the machine's root can."""

from __future__ import annotations

import errno
import os
from functools import cache
from pathlib import Path

from croze.errors import CrozeError

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


def give(path: str, uid: int, gid: int, fd: int = -1) -> None:
    """Change the owner, of a link itself; of the open file `fd` if there is one. Raises
    `CrozeError` when the ids don't exist here, with containerd's hint."""
    try:
        if fd >= 0:
            os.fchown(fd, uid, gid)
        else:
            os.chown(path, uid, gid, follow_symlinks=False)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise CrozeError(
            f'failed to Lchown "{path}" for UID {uid}, GID {gid}: invalid argument (Hint: try '
            "increasing the number of subordinate IDs in /etc/subuid and /etc/subgid)"
        ) from error
