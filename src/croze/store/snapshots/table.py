"""What the snapshotters have in common: which snapshots exist, and where."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Sequence, Set
from pathlib import Path

import msgspec
from msgspec import Struct

from croze.errors import AlreadyExists, CrozeError, InvalidRequest, NotFound
from croze.store.db import Database
from croze.store.disk import spread_out
from croze.store.snapshots.settled import Eras
from croze.store.trash import Trash
from croze.workers.pool import Pool


class Snapshot(Struct, frozen=True):
    """A snapshot's row. `number` names the directory (None for a pure stack); `lowers` the keys of
    the layers under it, base first."""

    key: str
    number: int | None
    lowers: tuple[str, ...]
    committed: bool
    era: int = 0
    """When it was written (`store.snapshots.settled`)."""

    @property
    def layers(self) -> tuple[str, ...]:
        """All layers that make up this state, base first."""
        return self.lowers if self.number is None else (*self.lowers, self.key)


def make_root(path: Path) -> None:
    """An image's root directory, as all the world has it, whatever the umask."""
    path.mkdir()
    path.chmod(0o755)


class SnapshotTable:
    """The rows in memory and in the database, and the directories `snapshots/<number>/`. What is
    not committed, nor to be kept as it is, need not survive: it is in memory alone."""

    def __init__(self, root: Path, db: Database, trash: Trash, eras: Eras) -> None:
        self.dir = root / "snapshots"
        self._host = os.fspath(self.dir)
        self.dir.mkdir(exist_ok=True)
        self._is_spread_out = spread_out(self.dir)
        self._db = db
        self._trash = trash
        self._eras = eras
        self._rows: dict[str, Snapshot] = {}
        self._unsaved: set[str] = set()
        self._children: Counter[str] = Counter()
        self._load()
        self._sweep()
        # Ext4 chooses the place by the name: one that was just deleted would lead to its remains.
        start = int(time.time()) % 100_000
        self._next = 1 + max(start, *(s.number or 0 for s in self._rows.values()), 0)

    def _load(self) -> None:
        for key, number, lowers, committed, era in self._db.read("SELECT * FROM snapshots"):
            assert isinstance(key, str)
            assert isinstance(lowers, str)
            assert isinstance(era, int)
            where = number if isinstance(number, int) else None
            self._keep(Snapshot(key, where, tuple(json.loads(lowers)), bool(committed), era))

    def _keep(self, row: Snapshot) -> None:
        self._forget(row.key)
        self._rows[row.key] = row
        self._children.update(row.lowers)

    def _forget(self, key: str) -> Snapshot | None:
        if row := self._rows.pop(key, None):
            self._children.subtract(row.lowers)
        return row

    def _sweep(self) -> None:
        """Directories without a row are what a killed daemon left."""
        numbers = {str(s.number) for s in self._rows.values()}
        for path in self.dir.iterdir():
            if path.name not in numbers:
                self._trash.discard(path)

    def get(self, key: str) -> Snapshot:
        """The snapshot of that key. Raises `NotFound`."""
        if (row := self._rows.get(key)) is None:
            raise NotFound(f"snapshot {key} not found")
        return row

    def is_lost(self, key: str) -> bool:
        """Whether the machine has failed before the disk had all of its files. Raises
        `NotFound`."""
        return self._eras.is_lost(self.get(key).era)

    def has_children(self, key: str) -> bool:
        """Whether another snapshot lies on this one."""
        return self._children[key] > 0

    def directories(self) -> Set[str]:
        """Names of the directories in use."""
        return {str(s.number) for s in self._rows.values() if s.number is not None}

    def exists(self, key: str) -> bool:
        """Whether there is such a snapshot."""
        return key in self._rows

    def ids(self) -> Sequence[str]:
        """All keys."""
        return tuple(self._rows)

    def path(self, row: Snapshot) -> Path:
        """The snapshot's own directory."""
        return Path(self.host(row))

    def host(self, row: Snapshot) -> str:
        """The snapshot's own directory as text, which is made sooner than a `Path`."""
        if row.number is None:
            raise CrozeError(f"snapshot {row.key} is a stack of layers")
        return f"{self._host}/{row.number}"

    def layers_of(self, parent: str | None) -> tuple[str, ...]:
        """The layers a child of `parent` lies on. Raises `InvalidRequest` for one being written."""
        if parent is None:
            return ()
        row = self.get(parent)
        if not row.committed:
            raise InvalidRequest(f"snapshot {parent} is not committed")
        return row.layers

    def add(self, key: str, lowers: tuple[str, ...], *, directory: bool, committed: bool) -> Path:
        """A new row, and the path its directory is to have. Raises `AlreadyExists`."""
        if key in self._rows:
            raise AlreadyExists(f"snapshot {key} already exists")
        number = self._next if directory else None
        self._next += 1
        row = Snapshot(key, number, lowers, committed)
        if committed:
            self._save(row)
        else:
            self._unsaved.add(key)
            self._keep(row)
        return self.dir / str(number)

    def set_committed(self, key: str, lowers: tuple[str, ...] | None = None) -> None:
        """Freeze, on other layers than it began on if `lowers` says so. Idempotent."""
        row = self.get(key)
        if not row.committed:
            below = row.lowers if lowers is None else lowers
            self._save(Snapshot(row.key, row.number, below, True))

    def save(self, key: str) -> None:
        """Let it be found again as it is, although it is not committed. Idempotent."""
        if key in self._unsaved:
            self._save(self.get(key))

    def rewrite(self, key: str) -> None:
        """Prepare to write to what is found after a restart. Idempotent."""
        row = self.get(key)
        if key not in self._unsaved and not self._eras.is_current(row.era):
            self._save(row)

    def _save(self, row: Snapshot) -> None:
        with self._db.transaction():
            row = msgspec.structs.replace(row, era=self._eras.now())
            self._db.write(
                "INSERT OR REPLACE INTO snapshots VALUES (?, ?, ?, ?, ?)",
                row.key,
                row.number,
                json.dumps(row.lowers),
                int(row.committed),
                row.era,
            )
            before, unsaved = self._rows.get(row.key), row.key in self._unsaved
            self._db.on_rollback(lambda: self._restore(row.key, before, unsaved=unsaved))
            self._unsaved.discard(row.key)
            self._keep(row)

    def _restore(self, key: str, row: Snapshot | None, *, unsaved: bool) -> None:
        self._forget(key)
        if row is not None:
            self._keep(row)
        if unsaved:
            self._unsaved.add(key)

    def remove(self, key: str) -> None:
        """Row first, then the directory. Idempotent. Raises `InvalidRequest` for one that has
        children."""
        if key not in self._rows:
            return
        if self._children[key] > 0:
            raise InvalidRequest(f"snapshot {key} has children")
        if key in self._unsaved:
            self._unsaved.discard(key)
        else:
            self._db.write("DELETE FROM snapshots WHERE key = ?", key)
        row = self._forget(key)
        if row and row.number is not None:
            self._trash.discard(self.dir / str(row.number), keeps_place=self._is_spread_out)


class TableSnapshotter:
    """What every snapshotter does by the table alone (see `Snapshotter` and
    `LayerSnapshotter`)."""

    def __init__(self, table: SnapshotTable, pool: Pool) -> None:
        self._table = table
        self._pool = pool

    def save(self, key: str) -> None:
        """Let it be found after a restart as it is now."""
        self._table.save(key)

    def rewrite(self, key: str) -> None:
        """Prepare to write to what is found after a restart."""
        self._table.rewrite(key)

    def is_lost(self, key: str) -> bool:
        """Whether a power cut may have taken some of it."""
        return self._table.is_lost(key)

    async def remove(self, key: str) -> None:
        """See `Snapshotter.remove`."""
        self._table.remove(key)

    def keys(self) -> Sequence[str]:
        """See `Snapshotter.keys`."""
        return self._table.ids()

    def exists(self, key: str) -> bool:
        """Whether there is such a snapshot."""
        return self._table.exists(key)

    def committed(self, key: str) -> bool:
        """Whether it can't change any more. Raises `NotFound`."""
        return self._table.get(key).committed

    def has_children(self, key: str) -> bool:
        """Whether another snapshot lies on this one."""
        return self._table.has_children(key)

    def directories(self) -> Set[str]:
        """Names of all directories in `snapshots/` that are in use."""
        return self._table.directories()
