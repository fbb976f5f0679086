"""What a frontend may ask of a running build.

One `Bridge` serves one build, from its first question to the end of the export: it owns all refs
that were made through it. Frontends that run in this process get it as it is; `forward` serves it
to those that run elsewhere.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from copy import copy
from typing import TypeVar

from msgspec.structs import replace

from croze.aio.parallel import Meanwhile, all_of, meanwhile
from croze.api import ops_pb2, policy_pb2
from croze.errors import CrozeError, InvalidRequest, Unsupported
from croze.gateway.containers import GatewayContainers
from croze.gateway.contract import BridgeServices
from croze.gateway.imports import CacheImports
from croze.gateway.owned import OwnedRefs
from croze.gateway.policy import SourcePolicies
from croze.gateway.requests import BridgeRequest, FrontendRequest
from croze.gateway.results import BridgeRef, BridgeResult
from croze.gateway.scopes import RequestScope
from croze.gateway.source_resolution import SourceResolution, SourceServices
from croze.gateway.verify import DecisionVerifier
from croze.ops.carried import CARRIED
from croze.ops.failed import FAILED_STEPS, FailedSteps
from croze.ops.load import LoadOptions, fresh_cache_mounts, load
from croze.ops.local_sources import is_local_source, local_sources_below
from croze.ops.proxied import PROXIED
from croze.ops.source import BUILD_SOURCES
from croze.patterns import lazy_pattern
from croze.runtime.proxied import Proxied
from croze.solver.contract import Edge
from croze.solver.solver import Job, SolvedResult
from croze.sources.request import SourceRequest
from croze.status import VertexWarning
from croze.store.contract import ImmutableRef

T = TypeVar("T")
_WEB = lazy_pattern(r"https?://[^/]")


class BuildBridge:
    """See `contract.Bridge`. Make it with `open_bridge`."""

    def __init__(
        self,
        services: BridgeServices,
        job: Job,
        session: str,
        load_options: LoadOptions,
        policies: SourcePolicies,
        verifier: DecisionVerifier | None = None,
        root: BridgeRequest | None = None,
        *,
        beside: Meanwhile,
    ) -> None:
        self.services = services
        self.scope = RequestScope(services.producers, root=root)
        self.job = job
        self.session = session
        source_services = SourceServices(
            services.images, services.source_meta, services.attestations
        )
        self.sources = SourceResolution(
            source_services, job, session, self.scope, policies, verifier
        )
        self._load_options = load_options
        self.imports = CacheImports(job, session, services.caches, beside)
        self._failed_steps = FailedSteps()
        self._refs = OwnedRefs()

    @property
    def sessions(self) -> Sequence[str]:
        """Ids of the sessions that may lend credentials to fetch lazy refs."""
        return tuple(self.job.session_ids())

    async def solve(self, request: BridgeRequest) -> BridgeResult:
        """The result of a request. Definitions are only solved when one of their refs is used."""
        self.imports.want(request.caches)
        definition = request.definition
        if definition is not None and getattr(definition, "def"):
            if request.frontend:
                raise InvalidRequest("cannot solve with both Definition and Frontend specified")
            result = BridgeResult(self.make_ref(definition, request.policies))
        elif request.frontend:
            result = await self._run_frontend(request)
        else:
            return BridgeResult()
        if request.evaluate:
            await evaluate(result)
        for ref in result.all_refs():
            ref.scope.tell(ref)
        return result

    def make_ref(
        self, definition: ops_pb2.Definition, policies: Sequence[policy_pb2.Policy] = ()
    ) -> BridgeRef:
        """A ref on what a definition makes: a part of a result, or something to look into."""
        ref = BridgeRef(self, definition, policies)
        self._refs.add(ref)
        self.scope.refs.append(ref)
        return ref

    def apart(self) -> BuildBridge:
        """A bridge to the same build for work that the client did not ask for, such as scanning for
        an SBOM: provenance does not tell of it."""
        return self._within(RequestScope(self.services.producers))

    def _within(self, scope: RequestScope) -> BuildBridge:
        other = copy(self)
        other.scope, other.sources = scope, self.sources.within(scope)
        return other

    def definitions(self) -> list[ops_pb2.Definition]:
        """The definitions of all refs that have been made so far."""
        return [ref.definition for ref in self._refs.all]

    async def build(
        self, definition: ops_pb2.Definition, policies: Sequence[policy_pb2.Policy] = ()
    ) -> SolvedResult:
        """Solve now; the handle is the caller's."""
        if self.services.ops is not None and (ids := fresh_cache_mounts(definition)):
            await self.services.ops.refs.forget_cache_mounts(ids)
            for each in self.job.values_of(CARRIED):
                each.start_fresh(ids)
        edge = await self._load(definition, policies)
        if is_local_source(edge.vertex):  # no cache has what is of one session
            return await self.job.build(edge)
        async with meanwhile() as beside:
            for vertex in () if self.imports.are_open else local_sources_below(edge.vertex):
                beside.begin(self._bring(Edge(vertex)))
            await self.imports.look_into()
            return await self.job.build(edge)

    async def _bring(self, edge: Edge) -> None:
        """What goes wrong is told to whoever needs it."""
        with suppress(CrozeError):
            await (await self.job.build(edge)).release()

    async def _load(
        self, definition: ops_pb2.Definition, policies: Sequence[policy_pb2.Policy] = ()
    ) -> Edge:
        options = self._load_options
        if (decide := self.sources.deciding(policies)) is not None:
            options = replace(options, policy=decide)
        return await load(definition, options)

    @property
    def proxied(self) -> Proxied | None:
        """The rules for containers that are no steps, where requests go through a proxy; None
        otherwise."""
        return Proxied((self.sources.ask_in_place,)) if self._load_options.proxied else None

    async def plan(self, result: BridgeResult) -> BridgeResult:
        """What the cache has for `result`, without running any of it."""
        planner = self.services.planner
        if planner is None:
            raise Unsupported("this daemon makes no plans")
        await self.imports.look_into()
        parts = []
        for key, ref in result.by_key().items():
            if ref is not None:
                edge = await self._load(ref.definition)
                parts.append((key, edge, ref.definition))
        return BridgeResult(metadata=await planner(self.job, parts))

    def prefetch(self, sources: Iterable[ops_pb2.SourceOp]) -> None:
        """Begin to bring sources that are likely to be wanted: not where a policy may have
        something else to say."""
        if self.sources.deciding() is None:
            for build in self.job.values_of(BUILD_SOURCES):
                for source in sources:
                    build.prefetch(SourceRequest(source.identifier, dict(source.attrs)))

    def warn(self, warning: VertexWarning) -> None:
        self.job.emit(warning)

    def keep_failed_steps(self) -> None:
        """Keep the states of steps that fail from now on: a frontend may look at them through
        `failed_state`."""
        self.job.set_value(FAILED_STEPS, self._failed_steps)

    def failed_state(self, id: str) -> ImmutableRef | None:
        """A state that the error of a failed step names. Raises `NotFound`."""
        return self._failed_steps.find(id)

    def containers(self) -> GatewayContainers:
        """Containers for one frontend, which closes them. They are made on refs of this bridge."""
        if self.services.ops is None:
            raise Unsupported("containers for frontends are not supported by this daemon")
        services = self.services.ops
        return GatewayContainers(services, lambda: self.sessions, self._check_exec, self.proxied)

    def _check_exec(
        self, network: ops_pb2.NetMode.ValueType, security: ops_pb2.SecurityMode.ValueType
    ) -> None:
        """Refuse what the build has no entitlement for."""
        if self._load_options.check is not None:
            op = ops_pb2.ExecOp(network=network, security=security)
            self._load_options.check(ops_pb2.Op(exec=op))

    async def close(self) -> None:
        """Release all refs."""
        self.scope.forget()
        await self._failed_steps.release()
        await self._refs.close()

    async def _run_frontend(self, request: BridgeRequest) -> BridgeResult:
        frontend = self.services.frontends.get(request.frontend)
        if frontend is None:
            raise InvalidRequest(f"invalid frontend: {request.frontend}")
        frontend_request = FrontendRequest(request.opts, request.inputs, self.session)
        return await frontend.build(frontend_request, self._within(self.scope.within(request)))


async def evaluate(result: BridgeResult) -> None:
    """Solve all refs of a result, at once."""
    await all_of(ref.evaluate() for ref in result.all_refs())


@asynccontextmanager
async def open_bridge(
    services: BridgeServices,
    job: Job,
    *,
    session: str,
    load_options: LoadOptions | None = None,
    policies: Sequence[policy_pb2.Policy] = (),
    verifier: DecisionVerifier | None = None,
    root: BridgeRequest | None = None,
) -> AsyncIterator[BuildBridge]:
    """A bridge for one build. Inside, results may be used; leaving releases them. `root` is what
    the client asked of the daemon, for provenance."""
    options = load_options or LoadOptions(caps=services.llb_caps)
    rules = SourcePolicies(policies)
    async with meanwhile() as beside:
        bridge = BuildBridge(services, job, session, options, rules, verifier, root, beside=beside)
        if options.proxied:
            job.set_value(PROXIED, bridge.sources.ask_in_place)
        try:
            yield bridge
        finally:
            await bridge.close()
