"""Opening a store: the one place that puts its parts together."""

from __future__ import annotations

import errno
import logging
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from msgspec import Struct

from croze.errors import InvalidRequest, NotFound, Unsupported
from croze.store.blobs import DiskBlobStore
from croze.store.contract import BlobFetcher, SnapshotterName
from croze.store.core import Core, Fetchers, LayerSnapshotter
from croze.store.db import Database
from croze.store.disk import Ballast, RootLock, disk_errors
from croze.store.gc import DiskStat
from croze.store.images import DiskImageStore
from croze.store.leases import Leases
from croze.store.names import ResolvedNames
from croze.store.native import NativeSnapshotter
from croze.store.overlay import OverlaySnapshotter, probe
from croze.store.prune import IsShared, collect_blobs, disk_stat
from croze.store.records import RecordTable
from croze.store.refs import DiskRefStore
from croze.store.snapshots import SnapshotTable
from croze.store.sweep import sweep, sweep_mounts
from croze.store.trash import Trash
from croze.store.verify import verify
from croze.workers.pool import Pool

log = logging.getLogger(__name__)


class Store(Struct):
    """Everything kept under one root. `close` it; a store that was killed needs nothing."""

    root: Path
    blobs: DiskBlobStore
    refs: DiskRefStore
    images: DiskImageStore
    names: ResolvedNames
    leases: Leases
    db: Database
    """For other metadata of the daemon (cache keys); tables by `migrations`."""
    snapshotter: str
    """The name of the one in use, e.g. `overlayfs`."""
    _core: Core
    _lock: RootLock

    async def verify(self) -> list[str]:
        """Read everything; problems as sentences, empty if all is well."""
        return await verify(self._core)

    def collect_blobs(self) -> int:
        """Delete blobs that nothing holds; bytes freed. `refs.prune` does it too."""
        return collect_blobs(self._core, self.images, self.leases)

    def disk_stat(self) -> DiskStat:
        """The filesystem the store is on."""
        return disk_stat(self._core)

    async def close(self) -> None:
        """Unmount, flush and close. Idempotent."""
        try:
            await self.refs.close()
        finally:
            sweep_mounts(self.root)
            self._core.trash.close()
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
    shared: IsShared | None = None,
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
            core = _core(root, db, trash, pool, snapshotter, fetchers)
            await sweep(core)
            undo.pop_all()
    images = DiskImageStore(db, core.blobs)
    leases = Leases(db, core.blobs)
    refs = DiskRefStore(core, images, leases, shared)
    names = ResolvedNames(db, core.blobs)
    return Store(root, core.blobs, refs, images, names, leases, db, core.snapshots.name, core, lock)


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


def _core(
    root: Path,
    db: Database,
    trash: Trash,
    pool: Pool,
    snapshotter: SnapshotterName,
    fetchers: Fetchers,
) -> Core:
    table = SnapshotTable(root, db, trash)
    return Core(
        root=root,
        table=RecordTable(db),
        blobs=DiskBlobStore(root, trash),
        snapshots=_snapshotter(snapshotter, table, pool, db),
        pool=pool,
        trash=trash,
        fetchers=fetchers,
    )


def _snapshotter(
    name: SnapshotterName, table: SnapshotTable, pool: Pool, db: Database
) -> LayerSnapshotter:
    """The chosen one. Snapshots of one kind mean nothing to the other: a root keeps its kind."""
    rows = db.read("SELECT value FROM settings WHERE name = 'snapshotter'")
    stored_name = str(rows[0][0]) if rows else ""
    options = probe(table.dir) if name != "native" else None
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
        return NativeSnapshotter(table, pool)
    return OverlaySnapshotter(table, pool, options)
