"""Where on the host bind mounts come from: looked for, or made."""

from __future__ import annotations

import os
from collections.abc import Sequence

from croze.errors import InvalidRequest
from croze.store.disk import own_disk_errors


def check(paths: Sequence[str]) -> None:
    """See that they are there. Raises `InvalidRequest` in Docker's words."""
    for path in paths:
        if not os.path.lexists(path):
            raise InvalidRequest(
                'invalid mount config for type "bind": bind source path does not exist: ' + path
            )


def make(paths: Sequence[str]) -> None:
    """Make those that are missing, as directories. Raises `CrozeError`."""
    for path in paths:
        with own_disk_errors(f"error while creating mount source path '{path}'"):
            if not os.path.lexists(path):
                os.makedirs(path, exist_ok=True)
