"""Disks that are nearly full."""

from __future__ import annotations

import os
from pathlib import Path


def leave(root: Path, free_bytes: int) -> None:
    """Fill the disk but for so much."""
    with open(root / "filler", "ab", buffering=0) as file:
        found = os.statvfs(root)
        size = found.f_bavail * found.f_frsize - free_bytes
        if size > 0:
            os.posix_fallocate(file.fileno(), 0, size)
