"""File-tree work of the snapshotters, as plain functions for worker processes."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence

from croze.fs.entry import OVERLAY_XATTRS
from croze.fs.filecopy import copy_attributes, copy_content
from croze.fs.tree.diff import overlay_changes
from croze.fs.tree.walk import walk_stats
from croze.fs.userns import overlay_xattr


def ready_to_stack(path: str, lowers: Sequence[str]) -> bool:
    """Whether an overlay layer directory may be put on other layers than `lowers`, those it was
    made on, the top one first.

    An opaque directory may not: it would hide what it never knew. Nor may copies of what is the
    same below. Directories with whiteouts get the xattr that makes overlayfs filter them even
    where no lower layer has the directory.
    """
    return mark_whiteouts(path) and not _has_unchanged(path, lowers)


def _has_unchanged(path: str, lowers: Sequence[str]) -> bool:
    """Whether anything is there that is no change, nor a directory on the way to one."""
    names: set[str] = set()
    for change in overlay_changes(path, lowers):
        name = change.path
        while name and name not in names:
            names.add(name)
            name = os.path.dirname(name)
    return any(name not in names and not is_whiteout(st) for name, _, st in walk_stats(path))


def mark_whiteouts(path: str) -> bool:
    """Make whiteouts hold anywhere; False if a directory is opaque."""
    opaque, origin = overlay_xattr("opaque"), overlay_xattr("origin")
    waiting = [path]
    ready = True
    while waiting:
        directory = waiting.pop()
        whiteouts = False
        with os.scandir(directory) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    ready = ready and _xattr(entry.path, opaque) != b"y"
                    waiting.append(entry.path)
                elif not entry.is_file(follow_symlinks=False) and not entry.is_symlink():
                    whiteouts = whiteouts or is_whiteout(entry.stat(follow_symlinks=False))
        if whiteouts and _xattr(directory, origin) is None:
            os.setxattr(directory, origin, b"")
    return ready


def is_whiteout(status: os.stat_result) -> bool:
    """overlayfs' mark for a deleted name: a character device 0:0."""
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def _xattr(path: str, name: str) -> bytes | None:
    try:
        return os.getxattr(path, name, follow_symlinks=False)
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.ENOTSUP):
            return None
        raise


def copy_tree(source: str, target: str) -> None:
    """Make the existing directory `target` equal to `source`: kinds, owners, modes, times, xattrs
    and hard links within the tree."""
    links: dict[tuple[int, int], str] = {}
    waiting = [(source, target)]
    finished: list[tuple[str, str, os.stat_result]] = []
    while waiting:
        src_dir, dst_dir = waiting.pop()
        finished.append((src_dir, dst_dir, os.lstat(src_dir)))
        with os.scandir(src_dir) as entries:
            for entry in entries:
                status = entry.stat(follow_symlinks=False)
                path = os.path.join(dst_dir, entry.name)
                if stat.S_ISDIR(status.st_mode):
                    os.mkdir(path, 0o700)
                    waiting.append((entry.path, path))
                else:
                    _copy_entry(entry.path, path, status, links)
    for src_dir, dst_dir, status in reversed(finished):
        copy_attributes(src_dir, dst_dir, status, without=OVERLAY_XATTRS)


def _copy_entry(
    source: str, target: str, status: os.stat_result, links: dict[tuple[int, int], str]
) -> None:
    if status.st_nlink > 1:
        first = links.setdefault((status.st_dev, status.st_ino), target)
        if first != target:
            os.link(first, target, follow_symlinks=False)
            return
    if stat.S_ISLNK(status.st_mode):
        os.symlink(os.readlink(source), target)
    elif stat.S_ISREG(status.st_mode):
        copy_content(source, target, status.st_size)
    else:
        os.mknod(target, status.st_mode, status.st_rdev)
    copy_attributes(source, target, status, without=OVERLAY_XATTRS)
