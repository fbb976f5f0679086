"""One build, from a Solve request to the exporter response."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from typing import Self

from msgspec import Struct

from croze.api import control_pb2, ops_pb2
from croze.api.attrs import of_attrs, to_attrs
from croze.attest.provenance import BuildFacts
from croze.cachekeys.contract import KeyStore
from croze.daemon.build import caches
from croze.daemon.build.attestations import Attests
from croze.daemon.build.caches import BuildCaches
from croze.daemon.build.entitlements import Entitlements
from croze.daemon.build.exports import (
    WantedExport,
    export_all,
    session_exports,
    wanted_exports,
)
from croze.daemon.build.info import build_info
from croze.daemon.build.platform_check import platform_warnings
from croze.daemon.build.provenance import BuildProvenance
from croze.daemon.build.recording import Recording, recording
from croze.daemon.build.results import export_source
from croze.daemon.build.sboms import with_own_sboms
from croze.daemon.build.sources import (
    build_sources,
    compatibility_version,
    source_policies,
    source_verifier,
)
from croze.daemon.engine.build_services import BuildServices
from croze.daemon.engine.cache_imports import wanted_mounts
from croze.dockerfile import LANGUAGE_VERSION
from croze.errors import CrozeError, InvalidRequest
from croze.export.contract import ExportSource, InlineCache
from croze.gateway.bridge import BuildBridge, evaluate, open_bridge
from croze.gateway.dockerfile_frontend import NAME as DOCKERFILE
from croze.gateway.requests import EXTERNAL_FRONTEND, BridgeRequest
from croze.gateway.results import BridgeResult
from croze.ops.carried import CARRIED
from croze.ops.load import LoadOptions
from croze.remotecache.mounts.carried import BUILD_MOUNTS, BuildMounts
from croze.remotecache.options import CacheExports
from croze.session.exporters import finalize_export
from croze.solver.contract import OpContext
from croze.solver.solver import Job
from croze.sources.contract import Prefetch
from croze.status import VertexWarning


class BuildPlan(Struct, frozen=True):
    """What a request asks for, checked before anything is built."""

    exports: Sequence[WantedExport]
    cache_exports: CacheExports
    options: LoadOptions
    attests: Attests
    facts: BuildFacts
    sessions: Sequence[str]
    compatibility: int

    @classmethod
    async def of(cls, services: BuildServices, request: control_pb2.SolveRequest) -> Self:
        """Check a request, and read what it asks for. Raises `InvalidRequest`, and
        `PermissionDenied` for an entitlement that is not granted."""
        if not request.Ref:
            raise InvalidRequest("a solve needs a ref")
        compatibility = compatibility_version(request)
        engine = services.engine
        granted = Entitlements.granted(
            request.Entitlements, engine.settings.entitlements, engine.worker.devices
        )
        exports = wanted_exports(services, request)
        cache_exports = caches.wanted_exports(request.Cache)
        await caches.check_exports(services.cache_services, cache_exports)
        for each in caches.wanted_imports(request.Cache):
            wanted_mounts(each)
        options = LoadOptions(
            caps=services.bridges.llb_caps,
            check=granted.check,
            proxied=request.ProxyNetwork or engine.settings.config.proxy_network,
        )
        attests = Attests.of(of_attrs(request.FrontendAttrs))
        began, env = datetime.now(UTC), engine.provenance_env
        facts = BuildFacts(began, compatibility, LANGUAGE_VERSION, env)
        sessions = (request.Session,) if request.Session else ()
        return cls(exports, cache_exports, options, attests, facts, sessions, compatibility)


async def run(services: BuildServices, request: control_pb2.SolveRequest) -> dict[str, str]:
    """Solve and export. Bad requests are refused before anything is built."""
    request = with_own_frontend(request)
    plan = await BuildPlan.of(services, request)
    async with (
        recording(services.engine.history, services.engine.telemetry, request) as record,
        services.local_sources.prefetching() as prefetch,
        services.solver.job(request.Ref, sessions=plan.sessions) as job,
    ):
        record.begin(job)
        with flushed(services.keys):
            return await solve_and_export(services, request, plan, job, record, prefetch)


@contextmanager
def flushed(keys: KeyStore) -> Iterator[None]:
    """What is written inside is on disk afterwards: who was told that the build is done, or has
    failed, may pull the plug. Raises `ResourceExhausted` when the disk is full."""
    try:
        yield
    except BaseException:
        with suppress(CrozeError):  # tried again before long, and the build's own error counts
            keys.flush()
        raise
    keys.flush()


async def solve_and_export(
    services: BuildServices,
    request: control_pb2.SolveRequest,
    plan: BuildPlan,
    job: Job,
    record: Recording,
    prefetch: Prefetch,
) -> dict[str, str]:
    """The work of the job; the answer to the client."""
    others, sessions = plan.cache_exports.others, services.engine.sessions
    imports_caches = bool(caches.wanted_imports(request.Cache))
    mounts = BuildMounts(services.mount_services, exported=any(each.mounts for each in others))
    job.set_value(CARRIED, mounts)
    job.set_value(BUILD_MOUNTS, mounts)
    async with (
        build_sources(job, plan.compatibility, prefetch, imports_caches=imports_caches),
        open_bridge(
            services.bridges,
            job,
            session=request.Session,
            load_options=plan.options,
            policies=source_policies(request),
            verifier=source_verifier(sessions, request),
            root=root_request(request),
        ) as bridge,
        services.recorder.watching(job, lambda: build_info(sessions, request), bridge.definitions),
        solved(services, bridge, request) as result,
    ):
        await evaluate(result)
        build_caches = BuildCaches(
            services.cache_services,
            plan.cache_exports,
            job,
            request.Session,
            mounts,
            bridge.definitions,
        )
        return await deliver(services, request, plan, bridge, record, result, build_caches)


async def deliver(
    services: BuildServices,
    request: control_pb2.SolveRequest,
    plan: BuildPlan,
    bridge: BuildBridge,
    record: Recording,
    result: BridgeResult,
    build_caches: BuildCaches,
) -> dict[str, str]:
    """Export an evaluated result, and its caches; the answer to the client."""
    results = services.cache_services.results
    provenance = BuildProvenance.of(results, bridge.job, result, plan.facts, record.usage)
    result = await plan.attests.scanned(bridge, result)
    pool = services.export_services.pool
    exported = await export_source(result, plan.sessions, pool)
    exported = with_own_sboms(exported, pool, plan.sessions)
    source = provenance.attach(exported, plan.attests.provenance)
    more = await session_exports(services, request, result, first_id=len(plan.exports))
    exports, warnings = [*plan.exports, *more], warnings_of(request, source)
    for text in () if exports else warnings:
        bridge.warn(VertexWarning("", 1, text))

    def inline(ctx: OpContext) -> InlineCache | None:
        return build_caches.inline(result, ctx)

    try:
        answers = await export_all(
            bridge.job, request.Session, exports, source, warnings, inline, plan.compatibility
        )
    finally:
        provenance.record(record, plan.attests.builder_id)
    answers += await build_caches.export(result)
    record.result(result.metadata, answers)
    response = text_metadata(result.metadata)
    for answer in answers:
        response.update(answer)
    if request.EnableSessionExporter:
        await finalize_export(await services.engine.sessions.get(request.Session), response)
    return response


def with_own_frontend(request: control_pb2.SolveRequest) -> control_pb2.SolveRequest:
    """The built-in Dockerfile frontend has one name however it is asked for."""
    attrs, name = of_attrs(request.FrontendAttrs), DOCKERFILE
    replaced = any(k == f"context:{name}" or k.startswith(f"context:{name}::") for k in attrs)
    if request.Frontend != EXTERNAL_FRONTEND or attrs.get("source") != name or replaced:
        return request
    own = control_pb2.SolveRequest()
    own.CopyFrom(request)
    own.Frontend = name
    del attrs["source"], own.FrontendAttrs[:]
    own.FrontendAttrs.extend(to_attrs(attrs))
    return own


def root_request(request: control_pb2.SolveRequest) -> BridgeRequest:
    """What the client asked, as provenance tells it."""
    return BridgeRequest(
        frontend=request.Frontend,
        opts=of_attrs(request.FrontendAttrs),
        inputs=frontend_inputs(request),
    )


def warnings_of(request: control_pb2.SolveRequest, source: ExportSource) -> Sequence[str]:
    """Warnings of platforms that are not those that were asked for."""
    return platform_warnings(
        of_attrs(request.FrontendAttrs),
        [one.platform for one in source.results if one.ref is not None or one.config],
        multi_platform=source.multi_platform,
    )


@asynccontextmanager
async def solved(
    services: BuildServices, bridge: BuildBridge, request: control_pb2.SolveRequest
) -> AsyncIterator[BridgeResult]:
    """Run the frontend here, or let the client drive the bridge from its side, which it then may
    go on to do while inside."""
    if request.Frontend or request.HasField("Definition"):
        definition = request.Definition if request.HasField("Definition") else None
        yield await bridge.solve(
            BridgeRequest(
                definition=definition,
                frontend=request.Frontend,
                opts=of_attrs(request.FrontendAttrs),
                inputs=frontend_inputs(request),
                caches=caches.wanted_imports(request.Cache),
            )
        )
        return
    async with services.forwarder.serving(request.Ref, bridge, frontend_inputs(request)) as served:
        yield await served.result()


def frontend_inputs(request: control_pb2.SolveRequest) -> Mapping[str, ops_pb2.Definition]:
    return dict(request.FrontendInputs)


def text_metadata(metadata: Mapping[str, bytes]) -> dict[str, str]:
    """What of a frontend's metadata goes to the client, as in BuildKit: what it has to say to it.
    The answer to a call is asked of the gateway."""
    return {
        key: value.decode("utf-8", "replace")
        for key, value in metadata.items()
        if key.startswith("frontend.")
    }
