"""Directories as a mount would show them: one plain directory, or several overlay layers merged.

Overlay format (kernel `filesystems/overlayfs`): a 0/0 character device hides a name of the layers
below, a directory with the xattr `trusted.overlay.opaque=y` hides all of theirs.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence

from croze.errors import Unsupported
from croze.fs.paths import sorted_names

_OPAQUE = ("trusted.overlay.opaque", "user.overlay.opaque")
_CAPABILITY = "security.capability"
_REDIRECT = "trusted.overlay.redirect"

Item = tuple[str, os.stat_result]
"""Host path and lstat of what a name stands for."""


class DirectoryView:
    """One directory. `dirs` are the host directories it is made of, top first."""

    __slots__ = ("dirs", "overlay")

    def __init__(self, dirs: Sequence[str], *, overlay: bool) -> None:
        self.dirs = tuple(dirs)
        self.overlay = overlay

    def lookup(self, name: str) -> Item | None:
        """What `name` is here; None if nothing."""
        for directory in self.dirs:
            path = f"{directory}/{name}"
            try:
                st = os.lstat(path)
            except (FileNotFoundError, NotADirectoryError):
                continue
            return None if self.overlay and is_whiteout(st) else (path, st)
        return None

    def enter(self, name: str) -> DirectoryView:
        """The directory `name`; empty if there is none."""
        if not self.overlay:
            return DirectoryView([f"{directory}/{name}" for directory in self.dirs], overlay=False)
        names: list[str] = []
        for directory in self.dirs:
            path = f"{directory}/{name}"
            try:
                st = os.lstat(path)
            except (FileNotFoundError, NotADirectoryError):
                continue
            if not stat.S_ISDIR(st.st_mode):
                break
            names.append(path)
            if is_opaque(path):
                break
        return DirectoryView(names, overlay=True)

    def items(self) -> dict[str, Item]:
        """Everything in the directory by name, in byte order."""
        if len(self.dirs) == 1 and not self.overlay:
            return dict(_items(self.dirs[0]))
        merged: dict[str, Item] = {}
        for directory in reversed(self.dirs):
            for name, item in _items(directory):
                if self.overlay and is_whiteout(item[1]):
                    merged.pop(name, None)
                else:
                    merged[name] = item
        return {name: merged[name] for name in sorted_names(merged)}


def raw_items(directory: str) -> list[tuple[str, Item]]:
    """Everything in one host directory in byte order, whiteouts too."""
    return _items(directory)


def _items(directory: str) -> list[tuple[str, Item]]:
    items: dict[str, Item] = {}
    try:
        listing = os.scandir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return []
    with listing:
        for entry in listing:
            items[entry.name] = (entry.path, entry.stat(follow_symlinks=False))
    return [(name, items[name]) for name in sorted_names(items)]


def is_whiteout(st: os.stat_result) -> bool:
    return stat.S_ISCHR(st.st_mode) and st.st_rdev == 0


def is_opaque(path: str) -> bool:
    return any(_getxattr(path, name) == b"y" for name in _OPAQUE)


def check_redirect(path: str) -> None:
    """See that a directory was not renamed with `redirect_dir` on, which hides where its files are.
    Raises Unsupported."""
    if _getxattr(path, _REDIRECT):
        raise Unsupported("redirect_dir is used but it's not supported in overlayfs differ")


def _getxattr(path: str, name: str) -> bytes:
    try:
        return os.getxattr(path, name, follow_symlinks=False)
    except OSError:
        return b""


def capability(where: str | int) -> bytes:
    """File capabilities (`security.capability`) of a path or an open file, empty for none."""
    follow = isinstance(where, int)
    try:
        # Most have none, and a list that is empty costs less than an error.
        if _CAPABILITY in os.listxattr(where, follow_symlinks=follow):
            return os.getxattr(where, _CAPABILITY, follow_symlinks=follow)
    except OSError:
        pass
    return b""
