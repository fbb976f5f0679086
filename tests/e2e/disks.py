"""Disks that are nearly full."""

from __future__ import annotations

import errno
import os
from pathlib import Path


def leave(root: Path, free_bytes: int) -> None:
    """Fill the disk but for so much."""
    with open(root / "filler", "wb", buffering=0) as file:
        while (size := _free_bytes(root) - free_bytes) > 0:
            try:
                return os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, size)
            except OSError as error:
                if error.errno != errno.ENOSPC:  # somebody has written in between
                    raise


def _free_bytes(root: Path) -> int:
    found = os.statvfs(root)
    return found.f_bavail * found.f_frsize
