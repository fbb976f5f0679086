"""Wiring: the services of the bridges to frontends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from croze.api import ops_pb2
from croze.daemon.config.toml import Config
from croze.daemon.engine.cache_imports import opener
from croze.daemon.engine.ops import Sources
from croze.daemon.worker.record import Worker
from croze.dockerfile.work import CPU_S
from croze.gateway.contract import BridgeServices, Frontend
from croze.gateway.dockerfile_frontend import NAME as DOCKERFILE
from croze.gateway.frontends import builtin_frontends
from croze.gateway.reading import Readers
from croze.gateway.requests import EXTERNAL_FRONTEND
from croze.image.platform import Platform
from croze.ops.services import OpServices
from croze.ops.source import source_context
from croze.remotecache.importer import Importer
from croze.solver.contract import Edge, OpContext
from croze.solver.solver import Job
from croze.sources.attestation_chain import AttestationChain, resolve_chain
from croze.sources.facts import FactsWanted, SourceFacts, ask
from croze.sources.images import Images
from croze.sources.request import SourceRequest
from croze.why.plan import PlatformEdge, plan
from croze.why.recorder import Recorder


def bridges(
    config: Config,
    images: Images,
    sources: Sources,
    services: OpServices,
    worker: Worker,
    recorder: Recorder,
    readers: Readers,
    importer: Importer,
) -> BridgeServices:
    """What all bridges to frontends use."""

    async def source_meta(
        source: ops_pb2.SourceOp, ctx: OpContext, facts: FactsWanted
    ) -> SourceFacts:
        request = SourceRequest(source.identifier, dict(source.attrs))
        return await ask(sources.http, sources.git, request, source_context(ctx), facts)

    async def attestations(
        ref: str,
        platform: Platform | None,
        mode: str,
        predicate_types: Sequence[str],
        ctx: OpContext,
    ) -> AttestationChain | None:
        return await resolve_chain(images, ref, platform, mode, predicate_types, ctx.sessions())

    async def planner(
        job: Job, parts: Sequence[tuple[str, Edge, ops_pb2.Definition]]
    ) -> Mapping[str, bytes]:
        return await plan(recorder, job, [PlatformEdge(*part) for part in parts])

    return BridgeServices(
        frontends=_frontends(config, readers),
        images=images,
        platforms=worker.platforms,
        worker=worker.record,
        source_meta=source_meta,
        attestations=attestations,
        planner=planner,
        caches=opener(importer),
        ops=services,
    )


def _frontends(config: Config, readers: Readers) -> Mapping[str, Frontend]:
    gateway = config.frontend.get(EXTERNAL_FRONTEND)
    return builtin_frontends(
        readers,
        disabled=[name for name, settings in config.frontend.items() if not settings.enabled],
        allowed_repositories=gateway.allowed_repositories if gateway else (),
    )


def cpu_limit_s(config: Config) -> int:
    """How many seconds of CPU time reading a Dockerfile may take, one at least."""
    own = config.frontend.get(DOCKERFILE)
    return max(1, round(own.max_cpu_time.seconds)) if own else CPU_S
