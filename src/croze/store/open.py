"""Opening a store: the one place that puts its parts together."""

from __future__ import annotations

import errno
import logging
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from croze.errors import InvalidRequest, NotFound, Unsupported
from croze.store.blobs import DiskBlobStore
from croze.store.contract import BlobFetcher, SnapshotterName
from croze.store.core import Core, Fetchers
from croze.store.db import Database
from croze.store.disk import Ballast, RootLock, disk_errors
from croze.store.snapshots.settled import Eras
from croze.store.snapshots.table import SnapshotTable
from croze.store.sweep import sweep, sweep_mounts
from croze.store.table import RecordTable
from croze.store.trash import Trash
from croze.workers.pool import Pool

if TYPE_CHECKING:
    from croze.store.images import DiskImageStore
    from croze.store.leases import Leases
    from croze.store.names import ResolvedNames
    from croze.store.refs import DiskRefStore
    from croze.store.snapshots.contract import LayerSnapshotter

log = logging.getLogger(__name__)


class Store:
    """Everything kept under one root. `close` it; a store that was killed needs nothing. What it
    is made of is loaded when it is first used: a daemon answers before it has to."""

    def __init__(self, core: Core, db: Database, eras: Eras, lock: RootLock) -> None:
        self.root = core.root
        self.eras = eras
        self.blobs = core.blobs
        self.db = db
        """For other metadata of the daemon (cache keys); tables by `migrations`."""
        self.snapshotter = core.snapshots.name
        """The name of the one in use, e.g. `overlayfs`."""
        self._core = core
        self._lock = lock

    @cached_property
    def images(self) -> DiskImageStore:
        from croze.store.images import DiskImageStore

        return DiskImageStore(self.db, self.blobs)

    @cached_property
    def leases(self) -> Leases:
        from croze.store.leases import Leases

        return Leases(self.db, self.blobs)

    @cached_property
    def names(self) -> ResolvedNames:
        from croze.store.names import ResolvedNames

        return ResolvedNames(self.db, self.blobs)

    @cached_property
    def refs(self) -> DiskRefStore:
        from croze.store.refs import DiskRefStore

        return DiskRefStore(self._core, self.images, self.leases)

    async def verify(self) -> list[str]:
        """Read everything; problems as sentences, empty if all is well."""
        from croze.store.verify import verify

        return await verify(self._core)

    def collect_blobs(self) -> int:
        """Delete blobs that nothing holds; bytes freed. `refs.prune` does it too."""
        from croze.store.prune import collect_blobs

        return collect_blobs(self._core, self.images, self.leases)

    async def close(self) -> None:
        """Unmount, flush and close. Idempotent."""
        try:
            if "refs" in vars(self):
                await self.refs.close()
            else:
                self._core.table.flush_quietly()
        finally:
            sweep_mounts(self.root)
            self._core.trash.close()
            self.eras.close()
            self.db.close()
            self._lock.release()


def no_fetchers(origin: Mapping[str, str]) -> BlobFetcher:
    """Fetchers of a store without remote sources. Always raises `NotFound`."""
    raise NotFound(f"nothing fetches from {dict(origin)}")


async def open_store(
    root: Path,
    pool: Pool,
    *,
    snapshotter: SnapshotterName = "auto",
    fetchers: Fetchers = no_fetchers,
) -> Store:
    """Open (or make) the store at `root`, sweeping what a killed daemon left.

    `fetchers` makes the fetcher of a lazy layer anew from its origin, after a restart. Raises
    `AlreadyExists` while another process has the root, `Unsupported` if the snapshotter does not
    work there.
    """
    with disk_errors("failed to open the store"):
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        with ExitStack() as undo:
            lock = RootLock(root)
            undo.callback(lock.release)
            ballast = Ballast(root)
            _make_room(root, ballast)
            trash = Trash(root)
            undo.callback(trash.close)
            db = Database(root / "store.db", ballast)
            undo.callback(db.close)
            sweep_mounts(root)
            eras = Eras(db, root)
            table = SnapshotTable(root, db, trash, eras)
            core = Core(
                root=root,
                table=RecordTable(db),
                blobs=DiskBlobStore(root, trash),
                snapshots=_snapshotter(snapshotter, table, pool, db),
                pool=pool,
                trash=trash,
                fetchers=fetchers,
            )
            await sweep(core)
            undo.pop_all()
    return Store(core, db, eras, lock)


def _make_room(root: Path, ballast: Ballast) -> None:
    """Make the directories; a full disk costs the ballast first."""
    names = ("blobs/sha256", "ingest", "snapshots", "trash", "mnt", "side")
    try:
        for name in names:
            (root / name).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if error.errno != errno.ENOSPC or not ballast.drop():
            raise
        for name in names:
            (root / name).mkdir(parents=True, exist_ok=True)


def _snapshotter(
    name: SnapshotterName, table: SnapshotTable, pool: Pool, db: Database
) -> LayerSnapshotter:
    """The chosen one. Snapshots of one kind mean nothing to the other: a root keeps its kind."""
    rows = db.read("SELECT value FROM settings WHERE name = 'snapshotter'")
    stored_name = str(rows[0][0]) if rows else ""
    options = _overlay_options(table) if name != "native" else None
    chosen = "overlayfs" if options is not None else "native"
    if name == "overlayfs" and options is None:
        raise Unsupported("overlayfs does not work in the store's directory")
    if name == "auto" and stored_name == "native":
        chosen = "native"
    if stored_name not in ("", chosen):
        raise InvalidRequest(
            f"the store was made with the snapshotter {stored_name}, not {chosen}: use another root"
        )
    if name == "auto":
        log.info("auto snapshotter: using %s", chosen)
    if not stored_name:
        db.write("INSERT INTO settings VALUES ('snapshotter', ?)", chosen)
    if chosen == "native" or options is None:
        from croze.store.snapshots.native import NativeSnapshotter

        return NativeSnapshotter(table, pool)
    from croze.store.snapshots.overlay import OverlaySnapshotter

    return OverlaySnapshotter(table, pool, options)


def _overlay_options(table: SnapshotTable) -> Sequence[str] | None:
    from croze.store.snapshots.overlay import probe

    return probe(table.dir)
