"""Directories for what a build gives its client, as Go's `os.MkdirAll` makes them."""

from __future__ import annotations

from pathlib import Path

BLOB_MODE = 0o444
"""The mode of a layout's blobs, less the umask: containerd's."""


def make_directory(path: Path, mode: int) -> None:
    """Make a directory and the parents that are missing, all of one mode (less the umask). One that
    is there stays as it is. Raises `OSError`."""
    missing = [path]
    while not missing[-1].exists() and missing[-1].parent != missing[-1]:
        missing.append(missing[-1].parent)
    for each in reversed(missing):
        each.mkdir(mode, exist_ok=True)
