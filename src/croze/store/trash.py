"""Deletion in two steps: a rename that takes effect at once, the slow part in the background."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from croze.errors import os_message
from croze.fs.remove import remove_files, try_remove_tree

log = logging.getLogger(__name__)

PLACE_KEPT_S: Final = 360
"""For how long, at most, ext4 without a journal gives out no inode of a deleted file. Source: Linux
`fs/ext4/ialloc.c`, `recently_deleted`."""
MOST_DIRECTORIES: Final = 4096
"""That are kept in all. Each takes a block."""


TRIED_AGAIN: Final = 16
"""So much of what could not be removed is, at most, each time that there is something to do."""


class _Place(NamedTuple):
    """A tree of which only directories are left."""

    path: str
    directories: int
    emptied_s: float


class Trash:
    """Owns `root/trash` and one thread that empties it."""

    def __init__(self, root: Path, most_directories: int = MOST_DIRECTORIES) -> None:
        self._most_directories = most_directories
        self._dir = root / "trash"
        self._dir.mkdir(exist_ok=True)
        # Others than those of a daemon that was killed: in a container it had the same pid.
        self._numbers = itertools.count(time.time_ns())
        self._executor = ThreadPoolExecutor(1, "croze-trash")
        self._places: deque[_Place] = deque()
        """Oldest first. Of the thread alone, like their number of directories."""
        self._directories = 0
        self._stuck: dict[str, None] = {}
        """What could not be removed, of the thread alone: a disk may be read-only for a while."""
        for name in os.listdir(self._dir):
            self._executor.submit(self._remove, os.fspath(self._dir / name))

    def discard(self, path: Path, *, keeps_place: bool = False) -> None:
        """Take a file or directory away now. A no-op if it is not there.

        With `keeps_place` the emptied directories of a tree stay in the trash for a while, until
        something else is discarded after that: ext4 makes the next tree where the fewest
        directories are, which is not to be where it has to look past all that was just deleted
        (`croze.store.disk.spread_out`).
        """
        target = self._dir / f"{os.getpid()}-{next(self._numbers)}-{path.name}"
        try:
            os.rename(path, target)
        except FileNotFoundError:
            return
        except OSError as error:
            self._remove_there(path, error)
            return
        self._executor.submit(self._empty if keeps_place else self._delete, os.fspath(target))

    def _remove_there(self, path: Path, error: OSError) -> None:
        """Where it is: a disk that makes trouble fails no work that is done. A file goes at once,
        as somebody may make one of its name; a directory's is never used again. What can't be
        removed is tried again with what is discarded after it."""
        log.warning("could not be moved away: %s", os_message(error))
        if path.is_dir() and not path.is_symlink():
            self._executor.submit(self._delete, os.fspath(path))
            return
        with suppress(OSError):
            path.unlink()

    async def empty(self) -> None:
        """Wait until everything discarded so far is off the disk, but for kept directories."""
        await asyncio.wrap_future(self._executor.submit(self._give_places_up))

    def close(self) -> None:
        """What is not deleted yet is deleted at the next open."""
        self._executor.shutdown(wait=True, cancel_futures=True)
        self._most_directories = 0
        self._give_places_up()

    def _delete(self, path: str) -> None:
        self._remove(path)
        self._give_places_up()

    def _remove(self, path: str) -> None:
        self._stuck.pop(path, None)
        try_remove_tree(path)
        if os.path.lexists(path):
            self._stuck[path] = None

    def _empty(self, path: str) -> None:
        try:
            directories = remove_files(path)
        except OSError as error:
            log.debug("left behind %s: %s", path, error)
            self._stuck[path] = None
            return
        self._places.append(_Place(path, directories, time.monotonic()))
        self._directories += directories
        self._give_places_up()

    def _give_places_up(self) -> None:
        """Remove the directories that have been kept for long enough, or are too many, and some of
        what could not be removed before."""
        for path in tuple(self._stuck)[:TRIED_AGAIN]:
            self._remove(path)
        oldest_s = time.monotonic() - PLACE_KEPT_S
        while self._places and (
            self._places[0].emptied_s < oldest_s or self._directories > self._most_directories
        ):
            place = self._places.popleft()
            self._directories -= place.directories
            self._remove(place.path)
