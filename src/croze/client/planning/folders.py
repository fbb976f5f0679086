"""Folders that are lent: whether they are there.

Messages: fsutil `NewFS`, and Go's `filepath.EvalSymlinks` below it.
"""

from __future__ import annotations

import errno
import os
import stat
from itertools import accumulate

from croze.errors import InvalidRequest, os_reason


def check_folder(folder: str) -> None:
    """See that a folder is there. Raises `InvalidRequest`."""
    try:
        status = os.stat(folder)
    except OSError as error:
        raise InvalidRequest(f"resolve : {_why(folder, error)}") from None
    if not stat.S_ISDIR(status.st_mode):
        raise InvalidRequest(f"stat {os.path.normpath(folder)}: not a directory")


def _why(folder: str, error: OSError) -> str:
    if error.errno == errno.ELOOP:
        return "EvalSymlinks: too many links"
    if error.errno == errno.ENOTDIR:
        return os_reason(error)
    return f"lstat {_missing(folder)}: {os_reason(error)}"


def _missing(folder: str) -> str:
    """The first part of a path that isn't there; where a link leads to, if it is one."""
    for path in accumulate(folder.split("/"), lambda above, name: f"{above}/{name}"):
        if not path or os.path.exists(path):
            continue
        if not os.path.islink(path):
            return path
        return _missing(os.path.normpath(os.path.join(os.path.dirname(path), os.readlink(path))))
    return folder
