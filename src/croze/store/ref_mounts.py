"""Refs at a path on the host: one mount for all who look at once."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

from croze.fs.mount import unmount
from croze.store.contract import MountSpec
from croze.store.core import Core
from croze.store.mount import mount_all
from croze.store.records import RefRecord
from croze.store.unpack import unlazy


async def mounts_of(
    core: Core, record: RefRecord, *, readonly: bool, sessions: Sequence[str] = ()
) -> Sequence[MountSpec]:
    """See `CommonRef.mounts`."""
    await unlazy(core, record, sessions)
    readonly = readonly or not record.data.mutable
    if record.mount_users and not readonly:
        # An overlay's upper directory must not be mounted twice.
        return (MountSpec("bind", record.mount_path, ("rbind", "rw")),)
    return core.snapshots.mounts(core.snapshot(record), readonly=readonly)


@contextlib.asynccontextmanager
async def mounted(
    core: Core, record: RefRecord | None, sessions: Sequence[str] = ()
) -> AsyncIterator[Path | None]:
    """The record's state at a path; None for no record."""
    if record is None:
        yield None
        return
    await unlazy(core, record, sessions)
    with hold_mount(core, record) as path:
        yield path


@contextlib.contextmanager
def hold_mount(core: Core, record: RefRecord) -> Iterator[Path]:
    """Share the record's mount; its snapshot's own directory where nothing need be mounted."""
    readonly = not record.data.mutable
    mounts = core.snapshots.mounts(core.snapshot(record), readonly=readonly)
    if len(mounts) == 1 and mounts[0].type == "bind":
        yield Path(mounts[0].source)
        return
    if record.mount_users == 0:
        record.mount_path = _mount(core, mounts)
    path = record.mount_path
    record.mount_users += 1
    try:
        yield Path(path)
    finally:
        record.mount_users -= 1
        if record.mount_users == 0:
            unmount(path)
            core.free_mount_paths.append(Path(path))


def _mount(core: Core, mounts: Sequence[MountSpec]) -> str:
    path = core.new_mount_path()
    try:
        mount_all(mounts, path)
    except BaseException:
        core.free_mount_paths.append(path)
        raise
    return str(path)
