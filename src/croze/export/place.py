"""A tree into a directory of this host, as a transfer would put it; runs in a worker process."""

from __future__ import annotations

import os
from collections.abc import Sequence

from croze.fs.copy.copy import copy
from croze.fs.copy.request import CopyRequest
from croze.fs.owner import NumericOwner
from croze.fs.tree.edit import mkdir, mkfile


def place_tree(
    root: str,
    target: str,
    folder: str,
    files: Sequence[tuple[str, bytes, int]],
    timestamp_ns: int | None,
) -> None:
    """Copy all below `root` to `folder` of `target`, and the small `files` (name, data, mode) with
    it; what is there besides stays. All belongs to us: the client is the same user, or we are
    root."""
    owner = NumericOwner(os.geteuid(), os.getegid())
    stamp = -1 if timestamp_ns is None else timestamp_ns
    if folder:
        mkdir(target, f"/{folder}", 0o755, make_parents=True, owner=owner, timestamp_ns=stamp)
    copy(
        CopyRequest(
            root,
            "/*",
            target,
            f"/{folder}",
            owner=owner,
            allow_wildcard=True,
            allow_empty_wildcard=True,
            always_replace=True,
            timestamp_ns=stamp,
        )
    )
    for name, data, mode in files:
        path = f"/{folder}/{name}" if folder else f"/{name}"
        mkfile(target, path, data, mode, owner=owner, timestamp_ns=stamp)
