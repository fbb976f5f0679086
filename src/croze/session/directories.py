"""Directories for what a build gives its client, as Go's `os.MkdirAll` makes them."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

BLOB_MODE = 0o444
"""The mode of a layout's blobs, less the umask: containerd's."""


def make_directory(path: str | Path, mode: int) -> None:
    """Make a directory and the parents that are missing, all of one mode (less the umask). One that
    is there stays as it is. Raises `OSError`, whose file name is the path as it was written, as far
    as the trouble."""
    text = os.fspath(path)
    missing: list[str] = []
    while text and (status := _status(text)) is None:
        missing.append(text)
        text = text.rstrip("/").rpartition("/")[0]
    if text and status is not None and not stat.S_ISDIR(status.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), text)
    for each in reversed(missing):
        try:
            os.mkdir(each, mode)
        except FileExistsError:
            if not os.path.isdir(each):
                raise


def _status(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except OSError:
        return None
