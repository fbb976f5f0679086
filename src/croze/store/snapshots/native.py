"""Snapshots as whole directories, copied from their parent: works on any filesystem."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from croze.errors import Unsupported
from croze.fs.tree.usage import usage
from croze.store.contract import MountSpec
from croze.store.disk import disk_errors
from croze.store.snapshots.table import TableSnapshotter, make_root
from croze.store.snapshots.trees import copy_tree


class NativeSnapshotter(TableSnapshotter):
    """See `Snapshotter`. `snapshots/<number>/fs` is the whole state."""

    name = "native"
    layered = False
    empty = None

    async def prepare(self, key: str, parent: str | None) -> None:
        """See `Snapshotter.prepare`. Copies the parent."""
        lowers = self._table.layers_of(parent)
        source = self.upper_path(parent) if parent else None
        with disk_errors("failed to make a snapshot"):
            path = self._table.add(key, lowers, directory=True, committed=False)
            try:
                path.mkdir(mode=0o700)
                make_root(path / "fs")
                if source is not None:
                    await self._pool.run(copy_tree, os.fspath(source), os.fspath(path / "fs"))
            except BaseException:
                self._table.remove(key)
                raise

    async def stack(self, key: str, layers: Sequence[str]) -> None:
        """Refused with `Unsupported`: there are no separate layers here."""
        raise Unsupported(f"the native snapshotter can't stack layers for {key} ({len(layers)})")

    def commit(self, key: str, *, rebase: str | None = None) -> None:
        """See `Snapshotter.commit`."""
        if rebase is not None:
            raise Unsupported("the native snapshotter can't rebase")
        self._table.set_committed(key)

    def mounts(self, key: str, *, readonly: bool = False) -> Sequence[MountSpec]:
        """See `Snapshotter.mounts`."""
        row = self._table.get(key)
        access = "ro" if readonly or row.committed else "rw"
        return (MountSpec("bind", os.fspath(self.upper_path(key)), ("rbind", access)),)

    def upper(self, key: str) -> Path | None:
        """Changes are not kept apart."""
        self._table.get(key)
        return None

    def upper_path(self, key: str) -> Path:
        """The whole state's directory."""
        return self._table.path(self._table.get(key)) / "fs"

    def lowers(self, key: str) -> Sequence[Path]:
        """No layers below: the state is whole."""
        self._table.get(key)
        return ()

    async def usage(self, key: str) -> int:
        """See `Snapshotter.usage`: all of it, as nothing is shared with the parent."""
        return (await self._pool.run(usage, os.fspath(self.upper_path(key)))).size_bytes
