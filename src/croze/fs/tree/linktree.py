"""A copy of a directory that shares its files: everything else is made anew.

For directories of one snapshot in place of another that goes away: unlike `fs.copy.links`, nothing
is left that could see a file in both.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Collection

from croze.fs.filecopy import copy_attributes, copy_content
from croze.fs.remove import remove_tree

_NO_LINK = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP)


def link_tree(source: str, target: str, *, without: Collection[bytes] = ()) -> None:
    """Make the existing directory `target` what `source` is, but for the paths (below it) in
    `without`, which are nowhere afterwards. Attributes include overlayfs' own."""
    skipped = {os.fsencode(source) + b"/" + path for path in without}
    waiting = [(source, target)]
    finished: list[tuple[str, str, os.stat_result]] = []
    while waiting:
        src_dir, dst_dir = waiting.pop()
        finished.append((src_dir, dst_dir, os.lstat(src_dir)))
        with os.scandir(src_dir) as entries:
            for entry in entries:
                path, status = f"{dst_dir}/{entry.name}", entry.stat(follow_symlinks=False)
                is_dir = stat.S_ISDIR(status.st_mode)
                _clear(path, is_dir=is_dir)
                if is_dir:
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(path, 0o700)
                    waiting.append((entry.path, path))
                elif os.fsencode(entry.path) not in skipped:
                    _link(entry.path, path, status)
    for src_dir, dst_dir, status in reversed(finished):
        copy_attributes(src_dir, dst_dir, status)


def _clear(path: str, *, is_dir: bool) -> None:
    """What a snapshot was made with is in the way."""
    with contextlib.suppress(FileNotFoundError):
        there = os.lstat(path)
        if stat.S_ISDIR(there.st_mode) != is_dir:
            remove_tree(path)
        elif not is_dir:
            os.unlink(path)


def _link(source: str, target: str, status: os.stat_result) -> None:
    if stat.S_ISREG(status.st_mode):
        try:
            os.link(source, target, follow_symlinks=False)
            return
        except OSError as error:
            if error.errno not in _NO_LINK:
                raise
        copy_content(source, target, status.st_size)
    elif stat.S_ISLNK(status.st_mode):
        os.symlink(os.readlink(source), target)
    else:
        os.mknod(target, status.st_mode, status.st_rdev)
    copy_attributes(source, target, status)
