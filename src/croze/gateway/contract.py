"""What frontends and the bridge promise each other, and what a bridge is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from croze.api import ops_pb2, policy_pb2, worker_pb2
from croze.attest.producers import Producers
from croze.gateway.caps import LLB_ENABLED
from croze.gateway.imports import CacheImport, CacheOpener
from croze.gateway.results import BridgeResult
from croze.image.platform import Platform
from croze.ops.services import OpServices
from croze.solver.contract import Edge, OpContext
from croze.solver.solver import Job
from croze.sources.attestation_chain import AttestationChain
from croze.sources.facts import SourceFacts, Wanted
from croze.sources.images import ResolvedConfig

if TYPE_CHECKING:
    from croze.gateway.bridge import Bridge

EXTERNAL_FRONTEND = "gateway.v0"


@dataclass(frozen=True)
class FrontendRequest:
    """What a frontend is to build. `session` is the client's, which local sources come from."""

    opts: Mapping[str, str]
    inputs: Mapping[str, ops_pb2.Definition]
    session: str


class Frontend(Protocol):
    """Turns a request into a result, asking the bridge. It may ask for other frontends, too."""

    async def build(self, request: FrontendRequest, bridge: Bridge) -> BridgeResult: ...


class ImageConfigs(Protocol):
    """Knows the configs of images; `sources.images.Images`."""

    async def resolve_config(
        self, ref: str, platform: Platform | None, mode: str, sessions: Sequence[str]
    ) -> ResolvedConfig: ...

    async def resolve_layout_config(
        self,
        ref: str,
        platform: Platform | None,
        *,
        store: str,
        session: str,
        sessions: Sequence[str],
    ) -> ResolvedConfig: ...


class Planner(Protocol):
    """Says what building definitions would find in the cache, as the metadata of an answer."""

    async def __call__(
        self, job: Job, parts: Sequence[tuple[str, Edge, ops_pb2.Definition]]
    ) -> Mapping[str, bytes]: ...


class SourceMetas(Protocol):
    """Knows what other sources say of themselves (git, http)."""

    async def __call__(
        self, source: ops_pb2.SourceOp, ctx: OpContext, wanted: Wanted
    ) -> SourceFacts: ...


class AttestationChains(Protocol):
    """Knows how images' attestations hang together."""

    async def __call__(
        self,
        ref: str,
        platform: Platform | None,
        mode: str,
        predicate_types: Sequence[str],
        ctx: OpContext,
    ) -> AttestationChain | None: ...


@dataclass(frozen=True)
class BridgeServices:
    """What all bridges of a daemon work with. `worker` describes the daemon to clients."""

    frontends: Mapping[str, Frontend]
    images: ImageConfigs
    platforms: Sequence[Platform]
    worker: Callable[[], worker_pb2.WorkerRecord]
    llb_caps: frozenset[str] = LLB_ENABLED
    source_meta: SourceMetas | None = None
    attestations: AttestationChains | None = None
    planner: Planner | None = None
    caches: CacheOpener | None = None
    """For imports; without it nothing is found in them."""
    producers: Producers = field(default_factory=Producers)
    ops: OpServices | None = None
    """For containers; without it there are none."""


@dataclass(frozen=True)
class SolveRequest:
    """Either a definition or a frontend with its options. With `evaluate` errors of the result come
    now, not when it is used."""

    definition: ops_pb2.Definition | None = None
    frontend: str = ""
    opts: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, ops_pb2.Definition] = field(default_factory=dict)
    evaluate: bool = False
    policies: Sequence[policy_pb2.Policy] = ()
    """For the sources of the definition, besides the build's own."""
    caches: Sequence[CacheImport] = ()
    """To look into, for the whole build from now on."""
