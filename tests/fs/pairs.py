"""A directory, and what it is brought over to."""

from __future__ import annotations

import os
from pathlib import Path

from croze.fs.content.checksum import Query, checksum
from croze.fs.sync.local import SyncOptions, look, sync
from croze.fs.tree.walk import WalkOptions


class Pair:
    """A source, its mirror, and where the notes are."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.source, self.dest = root / "source", root / "dest"
        self.dest.mkdir(parents=True)
        self.runs = 0

    def sync(self, **walk: tuple[str, ...]) -> tuple[int, int]:
        result = sync(
            str(self.source),
            str(self.dest),
            SyncOptions(WalkOptions(**walk), str(self.root / "index"), str(self.root / "state")),
        )
        return result.changed, result.removed

    def unchanged(self, *, reread: bool = False) -> bool:
        files = str(self.root / "index"), str(self.root / "state")
        options = SyncOptions(WalkOptions(), *files, reread=reread)
        return look(str(self.source), options).same

    def digests_agree(self) -> bool:
        """Whether the index says what a scan of the mirror says, for each entry of the top."""
        index = str(self.root / "index")
        queries = [Query("/" + name) for name in sorted(os.listdir(self.dest))]
        return checksum(str(self.dest), index, queries) == checksum(str(self.dest), None, queries)
