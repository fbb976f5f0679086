"""What ops work with: sources, the executor, the limits on both."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack
from pathlib import Path

from msgspec import Struct

from croze.aio.threads import in_thread
from croze.api import ops_pb2
from croze.daemon import workers
from croze.daemon.config import Cdi, Config
from croze.daemon.content import ContentServices
from croze.daemon.networks import networks
from croze.daemon.settings import Settings
from croze.gateway.caps import LLB_ENABLED
from croze.ops.content import ContentDigests
from croze.ops.load import LoadOptions, load
from croze.ops.logs import LogLimits
from croze.ops.services import OpServices, source_table
from croze.runtime import cgroup_root
from croze.runtime.cdi import DEFAULT_DIRS, Devices
from croze.runtime.cgroup_parent import CgroupParent
from croze.runtime.network import DnsConfig
from croze.runtime.oci import OciConfig, OciExecutor
from croze.runtime.watchdog import Watchdog
from croze.solver.contract import OpContext, Result
from croze.solver.solver import build_within
from croze.sources.blob import BlobSources
from croze.sources.git import GitSources
from croze.sources.http import HttpSources
from croze.sources.image import ImageSources
from croze.sources.local import LocalSources
from croze.workers.pool import WorkerPool


class Sources(Struct, frozen=True):
    image: ImageSources
    blob: BlobSources
    local: LocalSources
    git: GitSources
    http: HttpSources


def open_sources(content: ContentServices, pool: WorkerPool, stack: AsyncExitStack) -> Sources:
    refs, sessions = content.store.refs, content.sessions
    http = HttpSources(refs, sessions)
    stack.push_async_callback(http.close)
    return Sources(
        image=ImageSources(content.images, refs),
        blob=BlobSources(content.images, refs),
        local=LocalSources(refs, sessions, pool),
        git=GitSources(refs, sessions, content.images),
        http=http,
    )


async def open_executor(settings: Settings, stack: AsyncExitStack) -> OciExecutor:
    await in_thread(cgroup_root.prepare)
    executor = await _executor(settings, stack)
    stack.callback(Watchdog(executor.pids).close)
    await executor.sweep()
    return executor


async def _executor(settings: Settings, stack: AsyncExitStack) -> OciExecutor:
    config = settings.config
    dns = config.dns
    state_dir = _folder(settings.root / "executor")
    return OciExecutor(
        OciConfig(
            state_dir=state_dir,
            networks=await networks(config.worker.oci, state_dir, stack),
            binary=config.worker.oci.binary,
            cgroup_parent=CgroupParent.parse(config.worker.oci.default_cgroup_parent),
            dns=DnsConfig(
                nameservers=tuple(dns.nameservers),
                options=tuple(dns.options),
                search=tuple(dns.search_domains),
            )
            if dns
            else DnsConfig(),
            private_mounts=os.getuid() == 0,
            rootless=config.worker.oci.rootless,
            process_sandbox=not config.worker.oci.no_process_sandbox,
            apparmor_profile=config.worker.oci.apparmor_profile,
            trace_socket=settings.trace_socket,
        )
    )


def op_services(
    settings: Settings,
    content: ContentServices,
    sources: Sources,
    executor: OciExecutor,
    pool: WorkerPool,
) -> OpServices:
    return OpServices(
        refs=content.store.refs,
        executor=executor,
        sources=source_table(
            (sources.image, sources.blob, sources.local, sources.git, sources.http)
        ),
        sessions=content.sessions,
        workers=pool,
        scratch_dir=_folder(settings.root / "scratch"),
        contents=ContentDigests(pool),
        parallelism=_parallelism(settings.config),
        solve_nested=solve_nested,
        log_limits=LogLimits.from_env(os.environ),
        devices=_devices(settings.config.cdi),
        platforms=workers.MachinePlatforms(
            [], settings.config.system.platforms_cache_max_age.seconds
        ),
    )


async def solve_nested(definition: ops_pb2.Definition, ctx: OpContext) -> Result:
    """What an op that builds asks for: a definition, built as a part of its own vertex."""
    edge = await load(definition, LoadOptions(caps=LLB_ENABLED))
    return (await build_within(ctx, edge)).result


def _devices(cdi: Cdi) -> Devices:
    if cdi.disabled:
        return Devices(())
    return Devices(cdi.spec_dirs or DEFAULT_DIRS, auto_allowed=cdi.auto_allowed)


def _parallelism(config: Config) -> asyncio.Semaphore | None:
    limit = config.worker.oci.max_parallelism
    return asyncio.Semaphore(limit) if limit > 0 else None


def _folder(path: Path) -> Path:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path
