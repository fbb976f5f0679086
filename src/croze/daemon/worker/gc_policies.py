"""What garbage collection keeps: the configuration's policies, or BuildKit's four defaults."""

from __future__ import annotations

import os
from pathlib import Path

from msgspec import structs

from croze.daemon.config.sizes import DiskSpace
from croze.daemon.config.toml import GcPolicy, OciWorker
from croze.store.contract import PrunePolicy

_EASY_TO_MAKE_AGAIN = ("type==source.local", "type==exec.cachemount", "type==source.git.checkout")
_DEFAULT_RESERVED = DiskSpace(percent=10)
_DEFAULT_FREE = DiskSpace(percent=20)
_DEFAULT_USED = DiskSpace(percent=80)
_MOST_RESERVED_BYTES = 10 * 10**9
_MOST_USED_BYTES = 100 * 10**9


def gc_policies(worker: OciWorker, root: Path) -> list[PrunePolicy]:
    """The policies in force, on the disk that `root` is on."""
    disk = os.statvfs(root)
    return policies(worker, disk.f_blocks * disk.f_frsize)


def policies(worker: OciWorker, disk_bytes: int) -> list[PrunePolicy]:
    """The policies in force, on a disk of this size."""
    if not worker.gc:
        return []
    if worker.gcpolicy:
        return [_policy(policy, disk_bytes) for policy in worker.gcpolicy]
    return _default_policies(_limits(worker, disk_bytes))


def _policy(policy: GcPolicy, disk_bytes: int) -> PrunePolicy:
    return PrunePolicy(
        filters=tuple(policy.filters),
        all=policy.all,
        keep_duration_s=policy.keep_duration.seconds,
        reserved_space=(policy.reserved_space or policy.keep_bytes).of(disk_bytes),
        max_used_space=policy.max_used_space.of(disk_bytes),
        min_free_space=policy.min_free_space.of(disk_bytes),
    )


def _limits(worker: OciWorker, disk_bytes: int) -> PrunePolicy:
    reserved, used, free = worker.reserved_space, worker.max_used_space, worker.min_free_space
    if not (reserved or used or free):
        reserved = worker.gckeepstorage
    if not (reserved or used or free):
        return PrunePolicy(
            reserved_space=min(_DEFAULT_RESERVED.of(disk_bytes), _MOST_RESERVED_BYTES),
            max_used_space=min(_DEFAULT_USED.of(disk_bytes), _MOST_USED_BYTES),
            min_free_space=_DEFAULT_FREE.of(disk_bytes),
        )
    return PrunePolicy(
        reserved_space=reserved.of(disk_bytes),
        max_used_space=used.of(disk_bytes),
        min_free_space=free.of(disk_bytes),
    )


def _default_policies(limits: PrunePolicy) -> list[PrunePolicy]:
    return [
        PrunePolicy(_EASY_TO_MAKE_AGAIN, keep_duration_s=48 * 3600, max_used_space=512 * 10**6),
        structs.replace(limits, keep_duration_s=60 * 24 * 3600),
        limits,
        structs.replace(limits, all=True),
    ]
