"""Deletion in two steps: a rename that takes effect at once, the slow part in the background."""

from __future__ import annotations

import asyncio
import itertools
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from croze.fs.remove import try_remove_tree


class Trash:
    """Owns `root/trash` and one thread that empties it."""

    def __init__(self, root: Path) -> None:
        self._dir = root / "trash"
        self._dir.mkdir(exist_ok=True)
        self._numbers = itertools.count()
        self._executor = ThreadPoolExecutor(1, "croze-trash")
        for name in os.listdir(self._dir):
            self._executor.submit(_delete, os.fspath(self._dir / name))

    def discard(self, path: Path) -> None:
        """Take a file or directory away now. A no-op if it is not there."""
        target = self._dir / f"{os.getpid()}-{next(self._numbers)}-{path.name}"
        try:
            os.rename(path, target)
        except FileNotFoundError:
            return
        self._executor.submit(_delete, os.fspath(target))

    async def empty(self) -> None:
        """Wait until everything discarded so far is off the disk."""
        await asyncio.wrap_future(self._executor.submit(_nothing))

    def close(self) -> None:
        """What is not deleted yet is deleted at the next open."""
        self._executor.shutdown(wait=True, cancel_futures=True)


def _nothing() -> None:
    return None


def _delete(path: str) -> None:
    try_remove_tree(path)
