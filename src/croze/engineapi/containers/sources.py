"""Where on the host bind mounts come from: looked for, or made."""

from __future__ import annotations

import os
from collections.abc import Sequence

from croze.errors import InvalidRequest
from croze.store.disk import own_disk_errors

_MODE = 0o755


def check(paths: Sequence[str]) -> None:
    """See that they are there. Raises `InvalidRequest` in Docker's words."""
    for path in paths:
        if not os.path.lexists(path):
            raise InvalidRequest(
                'invalid mount config for type "bind": bind source path does not exist: ' + path
            )


def make(paths: Sequence[str]) -> None:
    """Make those that are missing, as directories that the container's users may enter. Raises
    `CrozeError`."""
    for path in paths:
        with own_disk_errors(f"error while creating mount source path '{path}'"):
            _make_directories(path)


def _make_directories(path: str) -> None:
    missing = []
    while not os.path.lexists(path):
        missing.append(path)
        path = os.path.dirname(path)
    for each in reversed(missing):
        try:
            os.mkdir(each)
            os.chmod(each, _MODE)  # the daemon's umask leaves it to root
        except FileExistsError:
            if not os.path.isdir(each):  # else another container's start was quicker
                raise
