"""At open: everything that a killed daemon had not committed goes."""

from __future__ import annotations

from collections.abc import Iterable, Set
from pathlib import Path

from croze.fs.mount import unmount
from croze.store.contract import CACHE_MOUNT
from croze.store.core import STACKABLE, Core
from croze.store.records import RecordData, RefRecord


def sweep_mounts(root: Path) -> None:
    """Unmount and remove what is left in `mnt` (a daemon with a private namespace leaves only
    empty directories)."""
    directory = root / "mnt"
    directory.mkdir(exist_ok=True)
    for path in directory.iterdir():
        unmount(str(path))
        path.rmdir()


async def sweep(core: Core) -> None:
    """Delete records whose parts are gone, and what no record names."""
    _remove_broken(core)
    _forget_missing_blobs(core, core.table.all())
    await _sweep_snapshots(core)
    _sweep_side_files(core)


def _remove_broken(core: Core) -> None:
    """Children before parents: who stands on what is broken is broken, too."""
    standing_on: dict[str, list[RefRecord]] = {}
    for record in core.table.all():
        for id in _needs(record):
            standing_on.setdefault(id, []).append(record)
    broken = [r for r in core.table.all() if _broken(core, r)]
    doomed = dict.fromkeys(broken)
    while broken:
        above = [r for r in standing_on.get(broken.pop().id, ()) if r not in doomed]
        doomed.update(dict.fromkeys(above))
        broken += above
    core.table.remove(doomed)


def _needs(record: RefRecord) -> tuple[str, ...]:
    """The records without which it is nothing."""
    data = record.data
    return (*data.parents, *(data.stack or ()), *((data.twin,) if data.twin else ()))


def _broken(core: Core, record: RefRecord) -> bool:
    data = record.data
    if any(id not in core.table for id in _needs(record)):
        return True
    if data.snapshot is not None:
        return not core.snapshots.exists(data.snapshot) or _is_lost(core, data)
    return data.stack is None and data.blob is None


def _is_lost(core: Core, data: RecordData) -> bool:
    """Whether a power cut may have taken files of its own. Of a cache mount it may: it is only ever
    a cache, and who writes to it answers for that."""
    assert data.snapshot is not None
    return data.record_type != CACHE_MOUNT and core.snapshots.is_lost(data.snapshot)


def _forget_missing_blobs(core: Core, records: Iterable[RefRecord]) -> None:
    """A blob that is gone (deleted by hand, or lost with the power) can be made or fetched again
    where there is a snapshot or an origin; the sweep after next start would find it the same."""
    for record in records:
        data = record.data
        variants = {k: v for k, v in data.variants.items() if core.blobs.has(v.descriptor.digest)}
        if len(variants) < len(data.variants):
            core.table.change(record, variants=variants)
        lost = data.blob is not None and not core.blobs.has(data.blob.descriptor.digest)
        if lost and data.origin is None and data.snapshot is not None:
            core.table.change(record, blob=None, chain_id="", blob_chain_id="")


async def _sweep_snapshots(core: Core) -> None:
    used = {r.data.snapshot for r in core.table.all()}
    keys = core.snapshots.keys()
    unused = [k for k in keys if not _wanted(core, k, used)]
    # Stacks and children lie on others, which were there before them, mostly: the latest go first.
    unused.reverse()
    while unused:
        undeleted = [k for k in unused if not await _try_remove(core, k)]
        if len(undeleted) == len(unused):
            return
        unused = undeleted


def _wanted(core: Core, key: str, used: Set[str | None]) -> bool:
    if key.endswith(STACKABLE):
        is_whole = core.snapshots.committed(key) and not core.snapshots.is_lost(key)
        return key.removesuffix(STACKABLE) in used and is_whole
    return key in used


async def _try_remove(core: Core, key: str) -> bool:
    if core.snapshots.has_children(key):
        return False
    await core.snapshots.remove(key)
    return True


def _sweep_side_files(core: Core) -> None:
    directory = core.root / "side"
    directory.mkdir(exist_ok=True)
    names = {core.side_dir(record).name for record in core.table.all()}
    for path in directory.iterdir():
        if path.name not in names:
            core.trash.discard(path)
