"""Wiring: the services of exporters, cache exports and build records."""

from __future__ import annotations

import shutil
from contextlib import AsyncExitStack

from croze.aio.threads import in_thread
from croze.daemon.config.settings import Settings
from croze.daemon.engine.content import ContentServices
from croze.export.contract import ExportServices
from croze.fs.content.checksum import Query
from croze.ops.results import RefResults, ref_of
from croze.ops.services import OpServices
from croze.remotecache.exporter import CacheServices
from croze.remotecache.mounts.services import MountServices, sweep_spools
from croze.store.contract import ImmutableRef
from croze.why.history import PastBuilds
from croze.why.recorder import Recorder
from croze.workers.pool import WorkerPool


def cache_services(content: ContentServices, results: RefResults) -> CacheServices:
    return CacheServices(
        results=results,
        ref_of=ref_of,
        refs=content.store.refs,
        blobs=content.store.blobs,
        sessions=content.sessions,
        registry=content.remote.registry,
        objects=content.remote.objects,
    )


async def mount_services(
    settings: Settings, content: ContentServices, ops: OpServices
) -> MountServices:
    """What cache mounts are carried with. Sweeps what a killed daemon has left of that."""

    async def base_digest(ref: ImmutableRef) -> str:
        (digest,) = await ops.contents.of(ref, [Query()], ())
        return digest

    await in_thread(sweep_spools, ops.scratch_dir)
    disk_bytes = shutil.disk_usage(settings.root).total
    return MountServices(
        refs=content.store.refs,
        store=content.store.refs.cache_mounts,
        pool=ops.workers,
        scratch=ops.scratch_dir,
        base_digest=base_digest,
        max_bytes=settings.config.cache_mounts.max_size.of(disk_bytes),
    )


def export_services(content: ContentServices, pool: WorkerPool) -> ExportServices:
    return ExportServices(
        refs=content.store.refs,
        blobs=content.store.blobs,
        images=content.store.images,
        sessions=content.sessions,
        registry=content.remote.registry,
        pool=pool,
    )


def open_recorder(settings: Settings, stack: AsyncExitStack) -> Recorder:
    """The records of past builds; `stack` waits for those that are being written."""
    why = settings.config.why
    recorder = Recorder(
        PastBuilds(settings.root, keep_builds=why.builds),
        warnings=why.warnings,
        enabled=why.builds > 0,
    )
    stack.push_async_callback(recorder.close)
    return recorder
