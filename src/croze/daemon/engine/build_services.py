"""What builds are made with: put together once the daemon answers, when the first build comes or a
moment later. It is more than half of all that the daemon loads.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from msgspec import Struct

from croze.cachekeys.contract import KeyStore
from croze.daemon.config.settings import Settings
from croze.daemon.engine.engine import Engine
from croze.daemon.engine.exports import (
    cache_services,
    export_services,
    mount_services,
    open_recorder,
)
from croze.daemon.engine.frontends import bridges, cpu_limit_s
from croze.daemon.engine.ops import op_services, open_sources
from croze.daemon.telemetry.trace_service import collecting
from croze.daemon.worker.executor import open_executor
from croze.export.contract import ExportServices
from croze.gateway.contract import BridgeServices
from croze.gateway.forward import GatewayForwarder
from croze.gateway.reading import Readers
from croze.ops.resolver import LoadedOpResolver
from croze.ops.results import RefResult, RefResults
from croze.remotecache.exporter import CacheServices
from croze.remotecache.importer import Importer
from croze.remotecache.mounts.services import MountServices
from croze.runtime.oci import OciExecutor
from croze.solver.solver import Solver
from croze.sources.image import ImageSources
from croze.sources.images import Images
from croze.sources.local.source import LocalSources
from croze.store.keys import SqliteKeys
from croze.why.recorder import Recorder
from croze.workers.memory import collector_paced


class BuildServices(Struct, frozen=True):
    """What builds are made with: the parts of a daemon that `Engine` has not."""

    engine: Engine
    executor: OciExecutor
    keys: KeyStore
    images: Images
    image_sources: ImageSources
    local_sources: LocalSources
    solver: Solver
    bridges: BridgeServices
    forwarder: GatewayForwarder
    export_services: ExportServices
    cache_services: CacheServices
    mount_services: MountServices
    importer: Importer
    recorder: Recorder


@asynccontextmanager
async def open_build_services(engine: Engine) -> AsyncIterator[BuildServices]:
    """Open what builds are made with, while inside. To be left by the task that has entered it."""
    settings, content = engine.settings, engine.content
    remote, refs = content.remote, content.store.refs
    async with AsyncExitStack() as stack:
        executor = await open_executor(settings, engine.helper, stack)
        traces = engine.telemetry.traces
        await stack.enter_async_context(collecting(traces, settings.trace_socket))
        keys = _keys(settings, stack)
        images = content.images()
        sources = open_sources(content, images, engine.pools.files, stack)
        services = op_services(engine, executor, sources)
        recorder = open_recorder(settings, stack)
        results = RefResults(refs)
        solver = Solver(keys, results, LoadedOpResolver(services), observer=recorder)
        await stack.enter_async_context(solver)
        stack.enter_context(collector_paced(solver.active_count))
        await solver.forget_lost()
        importer = Importer(remote.access, remote.objects, refs, RefResult)
        readers = Readers(engine.pools.readers, cpu_limit_s(settings.config))
        forwarder = GatewayForwarder()
        stack.push_async_callback(forwarder.wait_idle)
        yield BuildServices(
            engine=engine,
            executor=executor,
            keys=keys,
            images=images,
            image_sources=sources.image,
            local_sources=sources.local,
            solver=solver,
            bridges=bridges(
                settings.config,
                images,
                sources,
                services,
                engine.worker,
                recorder,
                readers,
                importer,
            ),
            forwarder=forwarder,
            export_services=export_services(content, engine.pools.files),
            cache_services=cache_services(content, results),
            mount_services=await mount_services(settings, content, services),
            importer=importer,
            recorder=recorder,
        )


def _keys(settings: Settings, stack: AsyncExitStack) -> SqliteKeys:
    keys = SqliteKeys(settings.root / "keys.db")
    stack.callback(keys.close)
    return keys
