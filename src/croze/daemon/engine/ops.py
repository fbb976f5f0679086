"""Wiring: the services of ops (sources, the executor), and the limits on them."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack

from msgspec import Struct

from croze.api import ops_pb2
from croze.daemon.config.toml import Config
from croze.daemon.engine.content import ContentServices
from croze.daemon.engine.engine import Engine
from croze.daemon.worker.executor import own_folder
from croze.daemon.worker.record import MachinePlatforms
from croze.gateway.caps import LLB_ENABLED
from croze.ops.content import ContentDigests
from croze.ops.load import LoadOptions, load
from croze.ops.logs import LogLimits
from croze.ops.services import OpServices, source_table
from croze.runtime.oci import OciExecutor
from croze.solver.contract import OpContext, Result
from croze.solver.solver import build_within
from croze.sources.blob import BlobSources
from croze.sources.git.source import GitSources
from croze.sources.http import HttpSources
from croze.sources.image import ImageSources
from croze.sources.images import Images
from croze.sources.local.source import LocalSources
from croze.workers.pool import WorkerPool
from croze.workers.shares import Shares


class Sources(Struct, frozen=True):
    image: ImageSources
    blob: BlobSources
    local: LocalSources
    git: GitSources
    http: HttpSources


def open_sources(
    content: ContentServices, images: Images, pool: WorkerPool, stack: AsyncExitStack
) -> Sources:
    """All kinds of sources; `stack` closes them."""
    refs, sessions = content.store.refs, content.sessions
    http = HttpSources(refs, sessions)
    stack.push_async_callback(http.close)
    return Sources(
        image=ImageSources(images, refs),
        blob=BlobSources(images, refs),
        local=LocalSources(refs, sessions, pool),
        git=GitSources(refs, sessions, images),
        http=http,
    )


def op_services(engine: Engine, executor: OciExecutor, sources: Sources) -> OpServices:
    """What all ops use."""
    settings, content, pool = engine.settings, engine.content, engine.pools.files
    mounting = Shares(4 * settings.workers, 16 * settings.workers)
    return OpServices(
        refs=content.store.refs,
        executor=executor,
        sources=source_table(
            (sources.image, sources.blob, sources.local, sources.git, sources.http)
        ),
        sessions=content.sessions,
        workers=pool,
        scratch_dir=own_folder(settings.root / "scratch"),
        contents=ContentDigests(pool, mounting),
        mounting=mounting,
        parallelism=_parallelism(settings.config),
        solve_nested=solve_nested,
        log_limits=LogLimits.from_env(os.environ),
        devices=engine.worker.devices,
        platforms=MachinePlatforms([], settings.config.system.platforms_cache_max_age.seconds),
    )


async def solve_nested(definition: ops_pb2.Definition, ctx: OpContext) -> Result:
    """What an op that builds asks for: a definition, built as a part of its own vertex."""
    edge = await load(definition, LoadOptions(caps=LLB_ENABLED))
    return (await build_within(ctx, edge)).result


def _parallelism(config: Config) -> asyncio.Semaphore | None:
    limit = config.worker.oci.max_parallelism
    return asyncio.Semaphore(limit) if limit > 0 else None
