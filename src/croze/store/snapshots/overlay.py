"""Snapshots as overlayfs layers: `snapshots/<number>/{fs,work}`.

A layer's `fs` holds only its own changes, in overlayfs' form: a 0:0 character device hides a name,
the xattr `trusted.overlay.opaque` a directory's lower content (Documentation/filesystems/
overlayfs.rst). As layers are independent directories, they can be unpacked in any order and
stacked in any combination, which is what makes `stack` free.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from croze.errors import CrozeError
from croze.fs.mount import unmount
from croze.fs.temporary import temporary_directory
from croze.fs.tree.usage import usage
from croze.fs.userns import in_user_namespace
from croze.store.contract import MountSpec
from croze.store.disk import disk_errors
from croze.store.mount import mount
from croze.store.overlay_mount import join_lowers
from croze.store.snapshots.table import Snapshot, SnapshotTable, TableSnapshotter, make_root
from croze.workers.pool import Pool

_BASE_OPTIONS = ("index=off", "redirect_dir=off", "metacopy=off")
"""Off, so that a layer directory means the same in any stack: the kernel then neither marks new
directories opaque nor writes links between layers."""
_USERNS_OPTIONS = ("userxattr", "index=off")
"""`userxattr` turns the other two off by itself, and refuses to be told so."""
EMPTY = "empty"
"""Key of the snapshot that layers full of whiteouts lie on."""


class OverlaySnapshotter(TableSnapshotter):
    """See `Snapshotter`; also `stack` and `commit(rebase=...)`."""

    name = "overlayfs"
    layered = True
    empty = EMPTY

    def __init__(self, table: SnapshotTable, pool: Pool, options: Sequence[str]) -> None:
        """`options` are what `probe` found to work."""
        super().__init__(table, pool)
        self._options = tuple(options)
        if not table.exists(EMPTY):
            table.add(EMPTY, (), directory=True, committed=True)
        path = table.path(table.get(EMPTY))
        if not (path / "fs").exists():  # a power cut may have taken it
            path.mkdir(mode=0o700, exist_ok=True)
            make_root(path / "fs")

    async def prepare(self, key: str, parent: str | None) -> None:
        """See `Snapshotter.prepare`."""
        lowers = self._table.layers_of(parent)
        with disk_errors("failed to make a snapshot"):
            path = self._table.add(key, lowers, directory=True, committed=False)
            try:
                path.mkdir(mode=0o700)
                make_root(path / "fs")
                if lowers:
                    (path / "work").mkdir(mode=0o700)
                    self._copy_root(lowers, path / "fs")
            except OSError:
                self._table.remove(key)
                raise

    def _copy_root(self, lowers: Sequence[str], target: Path) -> None:
        """The upper's root is the merged root: it starts with the owner and mode of the lower."""
        stat = os.stat(self._fs(lowers[-1]))
        os.chown(target, stat.st_uid, stat.st_gid)
        os.chmod(target, stat.st_mode & 0o7777)

    async def stack(self, key: str, layers: Sequence[str]) -> None:
        """A committed snapshot that is the own layers of these snapshots on top of each other."""
        for layer in layers:
            self._table.layers_of(layer)
        self._table.add(key, tuple(layers), directory=False, committed=True)

    def commit(self, key: str, *, rebase: str | None = None) -> None:
        """See `Snapshotter.commit`. `rebase` puts a layer that was prepared on nothing over other
        layers."""
        row = self._table.get(key)
        lowers = row.lowers if rebase is None else self._table.layers_of(rebase)
        self._table.set_committed(key, lowers)

    def mounts(self, key: str, *, readonly: bool = False) -> Sequence[MountSpec]:
        """See `Snapshotter.mounts`. A lone layer on nothing needs no overlay."""
        row = self._table.get(key)
        if row.committed:
            return self._view(row)
        fs = os.fspath(self._table.path(row) / "fs")
        access = "ro" if readonly else "rw"
        if not row.lowers:
            return (MountSpec("bind", fs, ("rbind", access)),)
        if readonly:
            return (self._lowers([*row.lowers, key]),)
        work = os.fspath(self._table.path(row) / "work")
        lowers = join_lowers([self._fs(k) for k in reversed(row.lowers)])
        dirs = (f"workdir={work}", f"upperdir={fs}", f"lowerdir={lowers}")
        return (MountSpec("overlay", "overlay", (*self._options, *dirs)),)

    def _view(self, row: Snapshot) -> Sequence[MountSpec]:
        if row.number is not None and not row.lowers:
            path = os.fspath(self._table.path(row) / "fs")
            return (MountSpec("bind", path, ("rbind", "ro")),)
        return (self._lowers(row.layers),)

    def _lowers(self, layers: Sequence[str]) -> MountSpec:
        dirs = [self._fs(k) for k in reversed(layers)]
        if len(dirs) == 1:
            # A layer taken from its place may hide names: only an overlay shows that right.
            dirs.append(self._fs(EMPTY))
        options = (o for o in self._options if o not in ("volatile",))
        return MountSpec("overlay", "overlay", (*options, f"lowerdir={join_lowers(dirs)}", "ro"))

    def _fs(self, key: str) -> str:
        """Text: a step's mounts name each of the layers below it."""
        return f"{self._table.host(self._table.get(key))}/fs"

    def upper(self, key: str) -> Path | None:
        """See `Snapshotter.upper`."""
        row = self._table.get(key)
        return None if row.number is None else self._table.path(row) / "fs"

    def lowers(self, key: str) -> Sequence[Path]:
        """The directories under the snapshot's own, base first."""
        return [Path(self._fs(k)) for k in self._table.get(key).lowers]

    async def usage(self, key: str) -> int:
        """See `Snapshotter.usage`."""
        upper = self.upper(key)
        return 0 if upper is None else (await self._pool.run(usage, os.fspath(upper))).size_bytes

    def keys(self) -> Sequence[str]:
        """See `Snapshotter.keys`."""
        return [key for key in self._table.ids() if key != EMPTY]


def probe(root: Path) -> Sequence[str] | None:
    """The overlay options that work below `root`, or None if overlayfs does not work there."""
    base = _USERNS_OPTIONS if in_user_namespace() else _BASE_OPTIONS
    for options in ((*base, "volatile"), base, base[:1] if in_user_namespace() else ()):
        if _works(root, options):
            return options
    return None


def _works(root: Path, options: Sequence[str]) -> bool:
    with temporary_directory("probe", root) as name:
        base = Path(name)
        for part in ("lower", "upper", "work", "merged"):
            (base / part).mkdir()
        (base / "lower" / "a").touch()
        dirs = [f"{k}dir={base / k}" for k in ("lower", "upper", "work")]
        dirs[0] = f"lowerdir={join_lowers([os.fspath(base / 'lower')])}"
        try:
            mount(MountSpec("overlay", "overlay", (*options, *dirs)), base / "merged")
        except CrozeError:
            return False
        try:
            (base / "merged" / "a").unlink()
            return (base / "upper" / "a").is_char_device()
        except OSError:
            return False
        finally:
            unmount(base / "merged")
