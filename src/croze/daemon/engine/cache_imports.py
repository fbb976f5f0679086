"""Caches that builds import: opened for the bridges to frontends."""

from __future__ import annotations

from croze.errors import CrozeError, InvalidRequest
from croze.gateway.imports import CacheImport, CacheOpener
from croze.remotecache.imported import OpenedCache
from croze.remotecache.importer import Importer
from croze.remotecache.mounts.carried import BUILD_MOUNTS
from croze.remotecache.mounts.options import MountOptions, mount_options
from croze.solver.caches import CacheSource
from croze.solver.contract import OpContext


def opener(importer: Importer) -> CacheOpener:
    """What bridges open imported caches with."""

    async def open_cache(cache: CacheImport, session: str, ctx: OpContext) -> list[CacheSource]:
        options = wanted_mounts(cache)
        opened = await importer.open(
            cache.kind,
            cache.attrs,
            session=session,
            sessions=ctx.sessions(),
            progress=ctx.progress,
        )
        if options is not None:
            for each in opened:
                await look_beside(each, options, cache, ctx)
        return [each.source for each in opened]

    return open_cache


async def look_beside(
    cache: OpenedCache, options: MountOptions, origin: CacheImport, ctx: OpContext
) -> None:
    """Let the build know of the cache mounts that lie beside an imported cache."""
    for mounts in ctx.job_values(BUILD_MOUNTS):
        try:
            await mounts.look_into(cache, options, ctx.sessions())
        except CrozeError as err:
            ctx.progress.warn(f"failed to read the cache mounts of {origin.id}: {err}")


def wanted_mounts(cache: CacheImport) -> MountOptions | None:
    """Which cache mounts an imported cache is to bring. Raises `InvalidRequest`."""
    try:
        return mount_options(cache.attrs)
    except InvalidRequest as err:
        raise err.wrap(f"failed to configure {cache.kind} cache importer") from None
