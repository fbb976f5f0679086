"""Sources: what a build starts from (`SourceOp`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from croze.api import ops_pb2
from croze.cachekeys.texts import noted_digest
from croze.image.platform import Platform
from croze.job_values import JobKey
from croze.ops.results import RefResult
from croze.ops.services import OpServices
from croze.solver.contract import CacheMap, OpContext, Result
from croze.sources.contract import BuildSources, Source, SourceContext
from croze.sources.materials import UsedMaterial
from croze.sources.request import SourceRequest, unknown_source

CACHE_TYPE = "buildkit.source.v0"
PRIVATE_PREFIX = "session:"
BUILD_SOURCES: Final = JobKey[BuildSources]("sources")
"""The job's `BuildSources`."""


def cache_digest(key: str) -> str:
    """The cache digest of a source's key; keys of a session never leave the daemon."""
    hashed = noted_digest(f"{CACHE_TYPE}:{key}".encode(), "string")
    return hashed.replace("sha256:", "random:") if key.startswith(PRIVATE_PREFIX) else hashed


class SourceOp:
    """`Op` for one source. `pin` is what the name was found to mean, once known."""

    def __init__(self, services: OpServices, op: ops_pb2.SourceOp, platform: Platform) -> None:
        self._services = services
        self._request = SourceRequest(op.identifier, dict(op.attrs), platform)
        self._source: Source | None = None
        self.pin = ""

    def used(self) -> UsedMaterial | None:
        """The source as a material, once it is known what it is."""
        return self._open().used(self.pin) if self.pin else None

    def _open(self) -> Source:
        if self._source is None:
            scheme, separator, _ = self._request.identifier.partition("://")
            factory = self._services.sources.get(scheme) if separator else None
            if factory is None:
                raise unknown_source(self._request.identifier)
            self._source = factory.open(self._request)
        return self._source

    async def cache_map(self, ctx: OpContext, index: int) -> CacheMap:
        key = await self._open().key(source_context(ctx), index)
        self.pin = self.pin or key.pin
        return CacheMap(digest=cache_digest(key.key), done=key.done)

    async def execute(self, ctx: OpContext, inputs: Sequence[Result]) -> Sequence[Result]:
        async with self._services.turn():
            return [RefResult(await self._open().snapshot(source_context(ctx)))]


def source_context(ctx: OpContext) -> SourceContext:
    """The context of a source: what the builds that want it know, the oldest first to say."""
    sources_of_jobs = ctx.job_values(BUILD_SOURCES)
    build = sources_of_jobs[0] if sources_of_jobs else BuildSources()
    return SourceContext(ctx.sessions(), ctx.progress, build)
