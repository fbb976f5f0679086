"""Everything put together: the one place that knows which implementation stands for which contract.

Read it from top to bottom to see what a running daemon consists of.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from croze.aio.threads import in_thread
from croze.api import ops_pb2
from croze.attest.builder_facts import read_facts
from croze.cachekeys.contract import KeyStore
from croze.daemon import workers
from croze.daemon.activity import Activity
from croze.daemon.caches import opener
from croze.daemon.config import Cdi, Config, HistoryLimits, Registry
from croze.daemon.gc import GarbageCollector
from croze.daemon.keys import snapshotter_named
from croze.daemon.networks import network_mode, networks
from croze.daemon.observing import Telemetry, measuring
from croze.daemon.outside import Outside
from croze.daemon.policies import gc_policies
from croze.daemon.running import RunningBuilds
from croze.daemon.settings import Settings
from croze.daemon.workers import Worker
from croze.dockerfile.asking import CPU_S, IMPORTED_BY_WORKERS
from croze.export.contract import ExportServices
from croze.fs.content.checksum import Query
from croze.gateway.caps import LLB_ENABLED
from croze.gateway.contract import BridgeServices, Frontend
from croze.gateway.dockerfile_frontend import NAME as DOCKERFILE
from croze.gateway.forward import GatewayForwarder
from croze.gateway.frontends import builtin_frontends
from croze.gateway.reading import Readers
from croze.gateway.requests import EXTERNAL_FRONTEND
from croze.history.history import BuildHistory, Expiry
from croze.image.platform import Platform
from croze.ops.content import ContentDigests
from croze.ops.load import LoadOptions, load
from croze.ops.logs import LogLimits
from croze.ops.resolver import Resolver
from croze.ops.results import RefResult, RefResults, ref_of
from croze.ops.services import NestedSolve, OpServices, source_table
from croze.ops.source import source_context
from croze.registry.client import Registry as RegistryClient
from croze.registry.hosts import RegistryConfig
from croze.remotecache.exporter import CacheServices
from croze.remotecache.importer import Importer
from croze.remotecache.mounts.services import MountServices, sweep_spools
from croze.remotecache.objects.gha_signatures import Rules, Signatures
from croze.remotecache.objects.opened import KINDS as OBJECT_KINDS
from croze.remotecache.objects.opened import ObjectCaches
from croze.runtime.cdi import DEFAULT_DIRS, Devices
from croze.runtime.cgroup_parent import CgroupParent
from croze.runtime.network import DnsConfig
from croze.runtime.oci import OciConfig, OciExecutor
from croze.runtime.watchdog import Watchdog
from croze.session.manager import Sessions
from croze.sigstore.verifier import SigstoreVerifier
from croze.solver.contract import Edge, OpContext, Result
from croze.solver.solver import Job, Solver
from croze.sources.attestation_chain import AttestationChain, resolve_chain
from croze.sources.blob import BlobSources
from croze.sources.facts import SourceFacts, Wanted, ask
from croze.sources.git import GitSources
from croze.sources.http import HttpSources
from croze.sources.image import ImageSources
from croze.sources.images import Images
from croze.sources.local import LocalSources
from croze.sources.request import SourceRequest
from croze.store.contract import BlobFetcher, ImmutableRef
from croze.store.keys import SqliteKeys
from croze.store.open import Store, open_store
from croze.why.history import History
from croze.why.plan import Part, plan
from croze.why.recorder import Recorder
from croze.workers.pool import WorkerPool

READERS = 32
"""How many Dockerfiles are read at once. Each waits for base images and contexts meanwhile."""


@dataclass
class Engine:
    """A running daemon's parts."""

    settings: Settings
    store: Store
    sessions: Sessions
    images: Images
    image_sources: ImageSources
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
    provenance_env: Mapping[str, object] = field(default_factory=dict)
    """What provenance says of the builder besides."""
    activity: Activity = field(default_factory=Activity)
    """Builds and sessions."""
    builds: Activity = field(default_factory=Activity)
    running: RunningBuilds = field(default_factory=RunningBuilds)


@asynccontextmanager
async def running(settings: Settings, pool: WorkerPool, outside: Outside) -> AsyncIterator[Engine]:
    """Open everything; on the way out, close it in the opposite order."""
    config = settings.config
    async with AsyncExitStack() as stack:
        telemetry = await stack.enter_async_context(measuring(os.environ))
        reading = WorkerPool(READERS, spare=1, modules=IMPORTED_BY_WORKERS)
        stack.push_async_callback(pool.close)
        stack.push_async_callback(reading.close)
        readers = Readers(reading, _cpu_limit_s(settings.config))
        content = await _open_content(settings, pool, outside, stack)
        sources = _open_sources(content, pool, stack)
        executor = await _open_executor(settings, stack)

        # Ops that build are run by the solver, which is made of ops.
        async def solve_nested(definition: ops_pb2.Definition, ctx: OpContext) -> Result:
            edge = await load(definition, LoadOptions(caps=LLB_ENABLED))
            return (await solver.build_within(ctx, edge)).result

        services = _op_services(settings, content, sources, executor, pool, solve_nested)
        keys = SqliteKeys(settings.root / "keys.db")
        stack.callback(keys.close)
        recorder = _open_recorder(settings, stack)
        history = BuildHistory(content.store, _expiry(config.history))
        await stack.enter_async_context(history)
        results = RefResults(content.store.refs)
        solver = Solver(keys, results, Resolver(services), observer=recorder)
        await stack.enter_async_context(solver)
        await solver.forget_lost()
        gc = GarbageCollector(
            content.store.refs, gc_policies(config.worker.oci, settings.root), solver.forget_lost
        )
        worker = Worker(
            id=workers.worker_id(settings.root),
            snapshotter=content.store.snapshotter,
            platforms=workers.Platforms(
                config.worker.oci.platforms, config.system.platforms_cache_max_age.seconds
            ),
            policies=gc.policies,
            labels=config.worker.oci.labels,
            process_mode="no-sandbox" if config.worker.oci.no_process_sandbox else "sandbox",
            devices=services.devices,
            network=network_mode(config.worker.oci),
        )
        importer = Importer(content.images.access, content.objects, content.store.refs, RefResult)
        forwarder = GatewayForwarder()
        stack.push_async_callback(forwarder.wait_idle)
        yield Engine(
            settings=settings,
            store=content.store,
            sessions=content.sessions,
            images=content.images,
            image_sources=sources.image,
            executor=executor,
            pools=(pool, reading),
            keys=keys,
            solver=solver,
            bridges=_bridges(
                config, content, sources, services, worker, recorder, readers, importer
            ),
            forwarder=forwarder,
            export_services=_export_services(content, pool),
            cache_services=_cache_services(content, results),
            importer=importer,
            mount_services=await _mount_services(settings, content, services),
            gc=gc,
            worker=worker,
            recorder=recorder,
            history=history,
            telemetry=telemetry,
            provenance_env=read_facts(settings.provenance_dir),
        )


@dataclass(frozen=True)
class _Content:
    """Where bytes are kept and come from."""

    store: Store
    sessions: Sessions
    registry: RegistryClient
    images: Images
    objects: ObjectCaches


async def _open_content(
    settings: Settings, pool: WorkerPool, outside: Outside, stack: AsyncExitStack
) -> _Content:
    late: list[Images] = []
    objects = ObjectCaches(_signatures(settings))
    stack.push_async_callback(objects.close)

    # What the store needs of images is only asked for once they are there.
    def fetcher(origin: Mapping[str, str]) -> BlobFetcher:
        if origin.get("kind") in OBJECT_KINDS:
            return objects.fetcher(origin)
        return late[0].fetcher(origin)

    store = await open_store(
        settings.root,
        pool,
        snapshotter=snapshotter_named(settings.config.worker.oci.snapshotter),
        fetchers=fetcher,
    )
    stack.push_async_callback(store.close)
    sessions = Sessions(outside.dial)
    registry = RegistryClient(
        registry_configs(settings.config.registry),
        max_concurrency=settings.config.system.max_registry_concurrency,
    )
    stack.push_async_callback(registry.close)
    images = Images(registry, store.blobs, store.images, sessions)
    late.append(images)
    return _Content(store, sessions, registry, images, objects)


def _signatures(settings: Settings) -> Signatures:
    """Of caches in GitHub's."""
    gha = settings.config.cache.gha
    policy = gha.verify.policy
    return Signatures(
        SigstoreVerifier(settings.root / "policy"),
        apart=gha.sign is not None or gha.verify.required,
        command=gha.sign.command if gha.sign is not None else (),
        required=gha.verify.required,
        rules=Rules(policy.fields, policy.timestamp_threshold, policy.tlog_threshold),
    )


@dataclass(frozen=True)
class _Sources:
    image: ImageSources
    blob: BlobSources
    local: LocalSources
    git: GitSources
    http: HttpSources


def _open_sources(content: _Content, pool: WorkerPool, stack: AsyncExitStack) -> _Sources:
    refs, sessions = content.store.refs, content.sessions
    http = HttpSources(refs, sessions)
    stack.push_async_callback(http.close)
    return _Sources(
        image=ImageSources(content.images, refs),
        blob=BlobSources(content.images, refs),
        local=LocalSources(refs, sessions, pool),
        git=GitSources(refs, sessions, content.images),
        http=http,
    )


async def _open_executor(settings: Settings, stack: AsyncExitStack) -> OciExecutor:
    executor = await _executor(settings, stack)
    stack.callback(Watchdog(executor.pids).close)
    await executor.sweep()
    return executor


def _op_services(
    settings: Settings,
    content: _Content,
    sources: _Sources,
    executor: OciExecutor,
    pool: WorkerPool,
    solve_nested: NestedSolve,
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
        platforms=workers.Platforms([], settings.config.system.platforms_cache_max_age.seconds),
    )


def _devices(cdi: Cdi) -> Devices:
    if cdi.disabled:
        return Devices(())
    return Devices(cdi.spec_dirs or DEFAULT_DIRS, auto_allowed=cdi.auto_allowed)


def _open_recorder(settings: Settings, stack: AsyncExitStack) -> Recorder:
    why = settings.config.why
    recorder = Recorder(
        History(settings.root, keep_builds=why.builds),
        warnings=why.warnings,
        enabled=why.builds > 0,
    )
    stack.push_async_callback(recorder.close)
    return recorder


def _bridges(
    config: Config,
    content: _Content,
    sources: _Sources,
    services: OpServices,
    worker: Worker,
    recorder: Recorder,
    readers: Readers,
    importer: Importer,
) -> BridgeServices:
    async def source_meta(source: ops_pb2.SourceOp, ctx: OpContext, wanted: Wanted) -> SourceFacts:
        request = SourceRequest(source.identifier, dict(source.attrs))
        return await ask(sources.http, sources.git, request, source_context(ctx), wanted)

    async def attestations(
        ref: str,
        platform: Platform | None,
        mode: str,
        predicate_types: Sequence[str],
        ctx: OpContext,
    ) -> AttestationChain | None:
        return await resolve_chain(
            content.images, ref, platform, mode, predicate_types, ctx.sessions()
        )

    async def planner(
        job: Job, parts: Sequence[tuple[str, Edge, ops_pb2.Definition]]
    ) -> Mapping[str, bytes]:
        return await plan(recorder, job, [Part(*part) for part in parts])

    return BridgeServices(
        frontends=_frontends(config, readers),
        images=content.images,
        platforms=worker.platforms,
        worker=worker.record,
        source_meta=source_meta,
        attestations=attestations,
        planner=planner,
        caches=opener(importer),
        ops=services,
    )


def _cache_services(content: _Content, results: RefResults) -> CacheServices:
    return CacheServices(
        results=results,
        ref_of=ref_of,
        refs=content.store.refs,
        blobs=content.store.blobs,
        sessions=content.sessions,
        registry=content.registry,
        objects=content.objects,
    )


async def _mount_services(settings: Settings, content: _Content, ops: OpServices) -> MountServices:
    async def base_digest(ref: ImmutableRef) -> str:
        (found,) = await ops.contents.of(ref, [Query()], ())
        return found

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


def _export_services(content: _Content, pool: WorkerPool) -> ExportServices:
    return ExportServices(
        refs=content.store.refs,
        blobs=content.store.blobs,
        images=content.store.images,
        sessions=content.sessions,
        registry=content.registry,
        pool=pool,
    )


def _expiry(limits: HistoryLimits | None) -> Expiry:
    return Expiry(limits.max_age.seconds, limits.max_entries) if limits else Expiry()


def _folder(path: Path) -> Path:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def _frontends(config: Config, readers: Readers) -> Mapping[str, Frontend]:
    gateway = config.frontend.get(EXTERNAL_FRONTEND)
    return builtin_frontends(
        readers,
        disabled=[name for name, settings in config.frontend.items() if not settings.enabled],
        allowed_repositories=gateway.allowed_repositories if gateway else (),
    )


def _cpu_limit_s(config: Config) -> int:
    own = config.frontend.get(DOCKERFILE)
    return max(1, round(own.max_cpu_time.seconds)) if own else CPU_S


def _parallelism(config: Config) -> asyncio.Semaphore | None:
    limit = config.worker.oci.max_parallelism
    return asyncio.Semaphore(limit) if limit > 0 else None


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


def registry_configs(configured: Mapping[str, Registry]) -> dict[str, RegistryConfig]:
    """The file's `[registry."host"]` tables, for the client."""
    return {
        host: RegistryConfig(
            mirrors=tuple(entry.mirrors),
            http=entry.http,
            insecure=entry.insecure,
            ca=tuple(entry.ca),
            keypairs=tuple((pair.key, pair.cert) for pair in entry.keypair),
            tls_config_dirs=tuple(entry.tlsconfigdir),
        )
        for host, entry in configured.items()
    }
