"""What frontends and the bridge promise each other, and what a bridge is made of.

For example:

    class Greeting:  # a frontend that makes the same of everything
        async def build(self, request: FrontendRequest, bridge: Bridge) -> BridgeResult:
            return await bridge.solve(BridgeRequest(definition=greeting))
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from msgspec import Struct, field

from croze.api import ops_pb2, policy_pb2, worker_pb2
from croze.attest.producers import Producers
from croze.gateway.caps import LLB_ENABLED
from croze.gateway.containers import GatewayContainers
from croze.gateway.imports import CacheImports, CacheOpener
from croze.gateway.requests import BridgeRequest, FrontendRequest
from croze.gateway.results import BridgeRef, BridgeResult
from croze.gateway.source_resolution import (
    AttestationChains,
    ImageConfigs,
    SourceMetas,
    SourceResolution,
)
from croze.image.platform import Platform
from croze.ops.services import OpServices
from croze.runtime.proxied import Proxied
from croze.solver.contract import Edge
from croze.solver.solver import Job
from croze.status import VertexWarning
from croze.store.contract import ImmutableRef


class Bridge(Protocol):
    """What a frontend may ask of a running build. All refs belong to the build, and are released
    when it ends."""

    @property
    def services(self) -> BridgeServices:
        """What all bridges of the daemon share."""

    @property
    def job(self) -> Job:
        """The job that the frontend's definitions are solved in."""

    @property
    def imports(self) -> CacheImports:
        """The caches that the build looks into."""

    @property
    def sources(self) -> SourceResolution:
        """What may be asked of sources before they are used."""

    async def solve(self, request: BridgeRequest) -> BridgeResult:
        """The result of a request. Definitions are only solved when one of their refs is used."""

    async def plan(self, result: BridgeResult) -> BridgeResult:
        """What evaluating `result` would find in the cache; nothing of it is run. Raises
        `Unsupported` where no plans are made."""

    def make_ref(
        self, definition: ops_pb2.Definition, policies: Sequence[policy_pb2.Policy] = ()
    ) -> BridgeRef:
        """A ref on what a definition makes: a part of a result, or something to look into. Raises
        `Canceled` after the build."""

    def prefetch(self, sources: Iterable[ops_pb2.SourceOp]) -> None:
        """Begin to bring sources that are likely to be wanted soon."""

    def warn(self, warning: VertexWarning) -> None:
        """Put a warning into the build's status."""

    def keep_failed_steps(self) -> None:
        """Keep the states of steps that fail from now on: a frontend may look at them through
        `failed_state`."""

    def failed_state(self, id: str) -> ImmutableRef | None:
        """A state that the error of a failed step names. Raises `NotFound`."""

    def containers(self) -> GatewayContainers:
        """Containers for one frontend, which closes them. They are made on refs of this bridge.
        Raises `Unsupported` where there are none."""

    @property
    def proxied(self) -> Proxied | None:
        """How containers that are no steps reach the network, if through a proxy."""


class Frontend(Protocol):
    """Turns a request into a result, asking the bridge. It may ask for other frontends, too."""

    async def build(self, request: FrontendRequest, bridge: Bridge) -> BridgeResult:
        """Build the request's targets. Raises `CrozeError`, which becomes the build's error."""


class Planner(Protocol):
    """Says what building definitions would find in the cache, as the metadata of an answer."""

    async def __call__(
        self, job: Job, parts: Sequence[tuple[str, Edge, ops_pb2.Definition]]
    ) -> Mapping[str, bytes]:
        """Plan each of `parts`: the name of a result's part, its edge and its definition."""


class BridgeServices(Struct, frozen=True):
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
