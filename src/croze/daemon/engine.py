"""Everything put together: the one place that knows which implementation stands for which contract.

Read it from top to bottom to see what a running daemon consists of.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from msgspec import Struct, field

from croze.attest.builder_facts import read_facts
from croze.cachekeys.contract import KeyStore
from croze.daemon import workers
from croze.daemon.activity import Activity
from croze.daemon.bridging import bridges, cpu_limit_s
from croze.daemon.content import open_content
from croze.daemon.delivering import (
    cache_services,
    expiry,
    export_services,
    mount_services,
    open_recorder,
)
from croze.daemon.executing import op_services, open_executor, open_sources
from croze.daemon.gc import GarbageCollector
from croze.daemon.networks import host_gateway, network_mode
from croze.daemon.observing import Telemetry, measuring
from croze.daemon.outside import Outside
from croze.daemon.policies import gc_policies
from croze.daemon.running import RunningBuilds
from croze.daemon.settings import Settings
from croze.daemon.workers import Worker
from croze.dockerfile.asking import IMPORTED_BY_WORKERS
from croze.export.contract import ExportServices
from croze.gateway.contract import BridgeServices
from croze.gateway.forward import GatewayForwarder
from croze.gateway.reading import Readers
from croze.history.history import BuildHistory
from croze.ops.resolver import LoadedOpResolver
from croze.ops.results import RefResult, RefResults
from croze.ops.services import OpServices
from croze.remotecache.exporter import CacheServices
from croze.remotecache.importer import Importer
from croze.remotecache.mounts.services import MountServices
from croze.runtime.cdi import Devices
from croze.runtime.oci import OciExecutor
from croze.session.manager import Sessions
from croze.solver.solver import Solver
from croze.sources.image import ImageSources
from croze.sources.images import Images
from croze.sources.local import LocalSources
from croze.store.keys import SqliteKeys
from croze.store.open import Store
from croze.why.recorder import Recorder
from croze.workers.pool import WorkerPool

if TYPE_CHECKING:
    from croze.store.digest_texts import DigestTexts

READERS = 32
"""How many Dockerfiles are read at once. Each waits for base images and contexts meanwhile."""


class Engine(Struct):
    """The parts of a running daemon."""

    settings: Settings
    store: Store
    sessions: Sessions
    images: Images
    image_sources: ImageSources
    local_sources: LocalSources
    executor: OciExecutor
    pools: Sequence[WorkerPool]
    """They work without having been started; what is started is warm when it is needed."""
    keys: KeyStore
    solver: Solver
    bridges: BridgeServices
    forwarder: GatewayForwarder
    export_services: ExportServices
    cache_services: CacheServices
    mount_services: MountServices
    importer: Importer
    gc: GarbageCollector
    worker: Worker
    recorder: Recorder
    history: BuildHistory
    telemetry: Telemetry
    texts: DigestTexts | None = None
    """What cache keys are made of, if that is kept."""
    provenance_env: Mapping[str, object] = field(default_factory=dict)
    """What provenance says of the builder besides."""
    activity: Activity = field(default_factory=Activity)
    """Builds and sessions."""
    builds: Activity = field(default_factory=Activity)
    running: RunningBuilds = field(default_factory=RunningBuilds)


@asynccontextmanager
async def running(settings: Settings, pool: WorkerPool, outside: Outside) -> AsyncIterator[Engine]:
    """A daemon's parts, opened; on the way out they are closed in the opposite order."""
    async with AsyncExitStack() as stack:
        telemetry = await stack.enter_async_context(measuring(os.environ))
        stack.push_async_callback(pool.close)
        reading = _reading_pool(stack)
        content = await open_content(settings, pool, outside, stack)
        sources = open_sources(content, pool, stack)
        executor = await open_executor(settings, stack)
        services = op_services(settings, content, sources, executor, pool)
        keys = _keys(settings, stack)
        recorder = open_recorder(settings, stack)
        history = await stack.enter_async_context(_history(settings, content.store))
        results = RefResults(content.store.refs)
        solver = await _open_solver(keys, results, services, recorder, stack)
        texts = _texts(settings, stack)
        gc = _collector(settings, content.store, solver)
        worker = _worker(settings, content.store, gc, services.devices)
        importer = Importer(content.images.access, content.objects, content.store.refs, RefResult)
        readers = Readers(reading, cpu_limit_s(settings.config))
        yield Engine(
            settings=settings,
            store=content.store,
            sessions=content.sessions,
            images=content.images,
            image_sources=sources.image,
            local_sources=sources.local,
            executor=executor,
            pools=(pool, reading),
            keys=keys,
            solver=solver,
            bridges=bridges(
                settings.config, content, sources, services, worker, recorder, readers, importer
            ),
            forwarder=_forwarder(stack),
            export_services=export_services(content, pool),
            cache_services=cache_services(content, results),
            importer=importer,
            mount_services=await mount_services(settings, content, services),
            gc=gc,
            worker=worker,
            recorder=recorder,
            history=history,
            telemetry=telemetry,
            texts=texts,
            provenance_env=read_facts(settings.provenance_dir),
        )


def _texts(settings: Settings, stack: AsyncExitStack) -> DigestTexts | None:
    """What cache keys are made of, if somebody wants to look."""
    if not settings.save_cache_debug:
        return None
    from croze.store.digest_texts import keeping_texts

    return stack.enter_context(keeping_texts(settings.root))


async def _open_solver(
    keys: KeyStore,
    results: RefResults,
    services: OpServices,
    recorder: Recorder,
    stack: AsyncExitStack,
) -> Solver:
    solver = Solver(keys, results, LoadedOpResolver(services), observer=recorder)
    await stack.enter_async_context(solver)
    await solver.forget_lost()
    return solver


def _keys(settings: Settings, stack: AsyncExitStack) -> SqliteKeys:
    keys = SqliteKeys(settings.root / "keys.db")
    stack.callback(keys.close)
    return keys


def _history(settings: Settings, store: Store) -> BuildHistory:
    return BuildHistory(store, expiry(settings.config.history))


def _collector(settings: Settings, store: Store, solver: Solver) -> GarbageCollector:
    policies = gc_policies(settings.config.worker.oci, settings.root)
    return GarbageCollector(store.refs, policies, solver.forget_lost)


def _forwarder(stack: AsyncExitStack) -> GatewayForwarder:
    forwarder = GatewayForwarder()
    stack.push_async_callback(forwarder.wait_idle)
    return forwarder


def _reading_pool(stack: AsyncExitStack) -> WorkerPool:
    """For Dockerfiles, whose workers wait more than they work."""
    pool = WorkerPool(READERS, spare=1, modules=IMPORTED_BY_WORKERS)
    stack.push_async_callback(pool.close)
    return pool


def _worker(settings: Settings, store: Store, gc: GarbageCollector, devices: Devices) -> Worker:
    """What clients are told of this machine."""
    oci, system = settings.config.worker.oci, settings.config.system
    return Worker(
        id=workers.worker_id(settings.root),
        snapshotter=store.snapshotter,
        platforms=workers.MachinePlatforms(oci.platforms, system.platforms_cache_max_age.seconds),
        policies=gc.policies,
        labels=oci.labels,
        process_mode="no-sandbox" if oci.no_process_sandbox else "sandbox",
        devices=devices,
        network=network_mode(oci),
        host_gateway=host_gateway(oci) if settings.docker_api else "",
    )
