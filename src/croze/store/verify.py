"""Is the store what it says it is? For `croze debug verify` and the tests of `kill -9`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from croze.aio.threads import in_thread
from croze.store.blobs import hash_file
from croze.store.core import Core
from croze.store.records import RefRecord


async def verify(core: Core) -> list[str]:
    """Problems, as sentences; empty if all is well. Reads every blob."""
    problems = [p for record in core.table.all() for p in _check_record(core, record)]
    problems += _check_snapshots(core)
    for digest in core.blobs.digests():
        if not core.blobs.has(digest):
            continue  # deleted meanwhile
        computed = await in_thread(_hash, core.blobs.path(digest))
        if computed != digest and core.blobs.has(digest):
            problems.append(f"blob {digest} has the digest {computed}")
    return problems


def _hash(path: Path) -> str:
    try:
        return hash_file(path)
    except OSError as error:
        return f"unreadable ({error.strerror})"


def _check_record(core: Core, record: RefRecord) -> Iterator[str]:
    data = record.data
    for id in (*data.parents, *(data.stack or ())):
        if id not in core.table:
            yield f"record {record.id} lies on {id}, which is gone"
    if data.snapshot is not None:
        if not core.snapshots.exists(data.snapshot):
            yield f"record {record.id} has no snapshot {data.snapshot}"
        else:
            yield from _check_mounts(core, record, data.snapshot)
    elif data.stack is None and data.blob is None:
        yield f"record {record.id} has neither snapshot nor blob"
    elif data.blob is not None and data.origin is None:
        digest = data.blob.descriptor.digest
        if not core.blobs.has(digest):
            yield f"record {record.id}: blob {digest} is gone"


def _check_mounts(core: Core, record: RefRecord, key: str) -> Iterator[str]:
    for path in (core.snapshots.upper(key), *core.snapshots.lowers(key)):
        if path is not None and not path.is_dir():
            yield f"record {record.id}: directory {path} of snapshot {key} is gone"


def _check_snapshots(core: Core) -> Iterator[str]:
    """Directories without a row would never be deleted."""
    directories = core.snapshots.directories()
    for name in os.listdir(core.root / "snapshots"):
        if name not in directories:
            yield f"directory snapshots/{name} belongs to no snapshot"
