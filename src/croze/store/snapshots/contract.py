"""What snapshotters promise. Below refs: nothing here is for other rooms.

For example, a layer on another, which is written where it is mounted:

    await snapshotter.prepare("layer", "base")
    mounts = snapshotter.mounts("layer")
    snapshotter.commit("layer")
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from pathlib import Path
from typing import Protocol

from croze.store.contract import MountSpec


class Snapshotter(Protocol):
    """Filesystem layers on disk. Keys are opaque; parents must be committed."""

    name: str

    async def prepare(self, key: str, parent: str | None) -> None:
        """Make a writable snapshot over `parent`."""

    def commit(self, key: str) -> None:
        """Make it immutable under the same key. Until then nobody finds it after a restart."""

    def mounts(self, key: str, *, readonly: bool = False) -> Sequence[MountSpec]:
        """What to mount to see the snapshot. A committed one is read-only in any case. Raises
        `NotFound`."""

    def upper(self, key: str) -> Path | None:
        """The directory with only this layer's changes (overlay format), if there is one."""

    async def usage(self, key: str) -> int:
        """Bytes on disk of this layer alone."""

    async def remove(self, key: str) -> None:
        """Delete a snapshot, whose children must be gone. Idempotent."""

    def keys(self) -> Sequence[str]:
        """The keys of all snapshots, committed or not."""


class LayerSnapshotter(Snapshotter, Protocol):
    """A `Snapshotter` with what the ref store needs beyond that contract."""

    layered: bool
    """Whether a snapshot's own changes are a directory of their own, in overlay form."""

    @property
    def empty(self) -> str | None:
        """What to make a layer on that may hide names but lies on nothing."""

    def exists(self, key: str) -> bool:
        """Whether there is a snapshot of that key."""

    def committed(self, key: str) -> bool:
        """Whether the snapshot can't change any more. Raises `NotFound`."""

    def has_children(self, key: str) -> bool:
        """Whether another snapshot lies on this one."""

    def directories(self) -> Set[str]:
        """Names of all directories in `snapshots/` that are in use."""

    def commit(self, key: str, *, rebase: str | None = None) -> None:
        """See `Snapshotter.commit`. With `rebase` the layer is put onto that snapshot. Raises
        `Unsupported` if it can't be."""

    def save(self, key: str) -> None:
        """Keep an uncommitted snapshot across restarts, as it is now."""

    def rewrite(self, key: str) -> None:
        """Allow a saved snapshot to be written to again. Raises `NotFound`."""

    def is_lost(self, key: str) -> bool:
        """Whether the machine has failed before the disk had all of its files
        (`store.snapshots.settled`). Raises `NotFound`."""

    async def stack(self, key: str, layers: Sequence[str]) -> None:
        """Make a committed snapshot of layers that exist, base first. Raises `Unsupported` where
        layers are no directories of their own."""

    def lowers(self, key: str) -> Sequence[Path]:
        """The directories below the snapshot's own, base first; none where states are whole."""

    def mounts(self, key: str, *, readonly: bool = False) -> Sequence[MountSpec]:
        """See `Snapshotter.mounts`."""
