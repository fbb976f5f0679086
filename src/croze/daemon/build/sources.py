"""The settings of one build's sources, read from its request."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from croze import compatibility
from croze.aio.threads import finish
from croze.api import control_pb2, policy_pb2
from croze.errors import InvalidRequest
from croze.ops.source import BUILD_SOURCES
from croze.session.contract import SessionManager
from croze.session.policy import SessionVerifier
from croze.solver.solver import Job
from croze.sources.contract import BuildSources, Prefetch


def compatibility_version(request: control_pb2.SolveRequest) -> int:
    """The version whose ways a request wants kept; today's if it names none. Raises
    `InvalidRequest`."""
    version = int(request.CompatibilityVersion) or compatibility.CURRENT
    if version in compatibility.VERSIONS:
        return version
    trouble = f"unsupported compatibility-version {version}"
    newest = compatibility.CURRENT
    if version > newest:
        raise InvalidRequest(f"{trouble}: upgrade buildkit (max supported: {newest})")
    versions = " ".join(map(str, compatibility.VERSIONS))
    raise InvalidRequest(f"{trouble} (supported: [{versions}])")


@asynccontextmanager
async def build_sources(
    job: Job, version: int, prefetch: Prefetch, *, imports_caches: bool
) -> AsyncIterator[None]:
    """Keep what the job's sources were resolved to while inside."""
    build = BuildSources(version, prefetch=prefetch, imports_caches=imports_caches)
    job.set_value(BUILD_SOURCES, build)
    try:
        yield
    finally:
        await finish(build.close())


def source_policies(request: control_pb2.SolveRequest) -> list[policy_pb2.Policy]:
    """The source policies that the request itself carries."""
    return [request.SourcePolicy] if request.HasField("SourcePolicy") else []


def source_verifier(
    sessions: SessionManager, request: control_pb2.SolveRequest
) -> SessionVerifier | None:
    """The session that decides on each source; None if the request names none."""
    session = request.SourcePolicySession
    return SessionVerifier(sessions, session) if session else None
