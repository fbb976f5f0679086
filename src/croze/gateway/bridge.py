"""What a frontend may ask of a running build.

One `Bridge` serves one build, from its first question to the end of the export: it owns all refs
that were made through it. Frontends that run in this process get it as it is; `forward` serves it
to those that run elsewhere.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from copy import copy
from dataclasses import replace
from typing import TypeVar

from croze.api import gateway_pb2, ops_pb2, policy_pb2
from croze.dockerfile.resolver import OciStore, ReplacedImage, ResolvedImage
from croze.errors import (
    CrozeError,
    InvalidRequest,
    PermissionDenied,
    Range,
    SourceDetail,
    Unsupported,
)
from croze.files.redact import redact
from croze.gateway import blame, source_meta, verify, wire
from croze.gateway.containers import Containers
from croze.gateway.contract import BridgeServices, FrontendRequest, SolveRequest
from croze.gateway.imports import CacheImports
from croze.gateway.once import Once
from croze.gateway.owned import OwnedRefs
from croze.gateway.policy import SourcePolicies, normalized
from croze.gateway.results import BridgeRef, BridgeResult
from croze.gateway.scopes import Scope
from croze.gateway.verify import Verifier
from croze.image import platform as platforms
from croze.image.platform import Platform
from croze.ops.carried import CARRIED
from croze.ops.failed import FAILED_STEPS, FailedSteps
from croze.ops.load import LoadOptions, fresh_cache_mounts, load
from croze.ops.proxied import PROXIED
from croze.runtime.proxy.contract import Proxied
from croze.solver.contract import Edge, OpContext
from croze.solver.solver import Job, SolvedResult
from croze.sources.attestation_chain import AttestationChain
from croze.sources.facts import SourceFacts, Wanted
from croze.sources.images import ResolvedConfig
from croze.sources.materials import ImageMaterial
from croze.status import VertexWarning
from croze.store.contract import ImmutableRef

T = TypeVar("T")
_WEB = re.compile(r"https?://[^/]")


class Bridge:
    """See the module. Make it with `open_bridge`."""

    def __init__(
        self,
        services: BridgeServices,
        job: Job,
        session: str,
        load_options: LoadOptions,
        policies: SourcePolicies,
        verifier: Verifier | None = None,
        root: SolveRequest | None = None,
    ) -> None:
        self.services = services
        self.scope = Scope(services.producers, root=root)
        self.job = job
        self.session = session
        self._load_options = load_options
        self._policies = policies
        self._verifier = verifier
        self.imports = CacheImports(job, session, services.caches)
        self._failed_steps = FailedSteps()
        self._refs = OwnedRefs()
        self._images: dict[tuple[object, ...], Once[ResolvedImage]] = {}

    @property
    def sessions(self) -> Sequence[str]:
        """Sessions that may lend credentials for what is not fetched yet."""
        return tuple(self.job.session_ids())

    async def solve(self, request: SolveRequest) -> BridgeResult:
        """Definitions are only solved when their ref is looked at."""
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
        """A part of a result, or something to look into."""
        ref = BridgeRef(self, definition, policies)
        self._refs.add(ref)
        self.scope.refs.append(ref)
        return ref

    def apart(self) -> Bridge:
        """The same for what is no part of what the client asked, nor of its provenance."""
        other = copy(self)
        other.scope = Scope(self.services.producers)
        return other

    def definitions(self) -> list[ops_pb2.Definition]:
        """All that refs were made of so far."""
        return [ref.definition for ref in self._refs.all]

    async def build(
        self, definition: ops_pb2.Definition, policies: Sequence[policy_pb2.Policy] = ()
    ) -> SolvedResult:
        """Solve now; the handle is the caller's."""
        if self.services.ops is not None and (ids := fresh_cache_mounts(definition)):
            await self.services.ops.refs.forget_cache_mounts(ids)
            for each in self.job.values_of(CARRIED):
                each.start_fresh(ids)
        await self.imports.look_into()
        return await self.job.build(await self._load(definition, policies))

    async def _load(
        self, definition: ops_pb2.Definition, policies: Sequence[policy_pb2.Policy] = ()
    ) -> Edge:
        rules, options = self._policies.also(policies), self._load_options
        if rules or self._verifier is not None:

            async def decide(op: ops_pb2.Op) -> ops_pb2.SourceOp | None:
                same = ops_pb2.SourceOp(identifier=normalized(op.source), attrs=op.source.attrs)
                try:
                    decided = await self._evaluate(op, rules)
                    return decided if decided != same else None
                except CrozeError as error:
                    raise error.wrap("error evaluating the source policy") from None

            options = replace(options, policy=decide)
        return await load(definition, options)

    async def decide(
        self,
        source: ops_pb2.SourceOp,
        policies: Sequence[policy_pb2.Policy] = (),
        *,
        platform: ops_pb2.Platform | None = None,
    ) -> ops_pb2.SourceOp:
        """What the policies make of a source that is asked about. Raises when it is denied."""
        op = ops_pb2.Op(source=source, platform=platform)
        try:
            return await self._evaluate(op, self._policies.also(policies))
        except CrozeError as error:
            raise error.wrap("could not resolve image due to policy") from None

    async def ask_in_place(self, method: str, url: str) -> str:
        """The rules of a proxied build's requests: what policies make of an address of the web.
        Raises when it is refused."""
        if not self._policies and self._verifier is None:
            return url
        known = redact(url)
        decided = await self.decide(ops_pb2.SourceOp(identifier=known))
        if decided.identifier == known and not decided.attrs:
            return url
        if method != "GET" or decided.attrs or not _WEB.match(decided.identifier):
            raise PermissionDenied(f"source policy can't convert the request {method} {known}")
        return decided.identifier

    @property
    def proxied(self) -> Proxied | None:
        """For containers that are no steps."""
        return Proxied((self.ask_in_place,)) if self._load_options.proxied else None

    async def _evaluate(self, op: ops_pb2.Op, rules: SourcePolicies) -> ops_pb2.SourceOp:
        return await verify.evaluate(op, rules, self._verifier, self._answer_policy)

    async def _answer_policy(
        self, request: gateway_pb2.ResolveSourceMetaRequest
    ) -> gateway_pb2.ResolveSourceMetaResponse:
        """What the client's policy wants to know; only rules stand in its way."""
        try:
            request.Source.CopyFrom(self._policies.decide(request.Source))
        except CrozeError as error:
            raise error.wrap("could not resolve image due to policy") from None
        return await source_meta.resolve(self, request)

    async def plan(self, result: BridgeResult) -> BridgeResult:
        """What evaluating `result` would find in the cache; nothing of it is run."""
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

    async def resolve_image(
        self,
        ref: str,
        *,
        platform: Platform | None,
        mode: str = "",
        log_name: str = "",
        oci_store: OciStore | None = None,
    ) -> ResolvedImage:
        """An image's digest and config, if policies allow it."""
        with blame.resolving(ref):
            decided = await self._decide_image(ref, oci_store, platform)
            return await self.ask_image(
                decided, platform=platform, mode=mode, log_name=log_name, oci_store=oci_store
            )

    async def ask_image(
        self,
        ref: str,
        *,
        platform: Platform | None,
        mode: str = "",
        log_name: str = "",
        oci_store: OciStore | None = None,
    ) -> ResolvedImage:
        """The same when policies have been asked. The same question is asked once per build."""
        key = (ref, platform, mode, oci_store)
        once = self._images.get(key)
        if once is None:

            async def ask() -> ResolvedImage:
                return await self._ask_image(ref, platform, mode, log_name, oci_store)

            once = self._images[key] = Once(ask)
        found = await once.get()
        local = oci_store is not None
        self.scope.images.append(ImageMaterial(ref, platform, found.digest, local))
        return found

    async def _decide_image(
        self, ref: str, oci_store: OciStore | None, platform: Platform | None
    ) -> str:
        scheme = "docker-image://" if oci_store is None else "oci-layout://"
        source = ops_pb2.SourceOp(identifier=scheme + ref)
        if oci_store is not None:
            source.attrs["oci.session"], source.attrs["oci.store"] = (
                oci_store.session,
                oci_store.store,
            )
        where = wire.platform_message(platform) if platform is not None else None
        decided = (await self.decide(source, platform=where)).identifier
        if not decided.startswith(scheme):
            text = f"ref mutated by policy to non-image: {scheme}{ref} -> {decided}"
            raise ReplacedImage(text, identifier=decided)
        return decided.removeprefix(scheme)

    async def attestations(
        self,
        ref: str,
        *,
        platform: Platform | None,
        mode: str,
        predicate_types: Sequence[str],
        log_name: str = "",
    ) -> AttestationChain | None:
        """How an image's attestations hang together; policies have been asked."""
        resolve = self.services.attestations
        if resolve is None:
            raise Unsupported("no attestations of images here")

        async def ask(ctx: OpContext) -> AttestationChain | None:
            return await resolve(ref, platform, mode, predicate_types, ctx)

        return await self._logged(f"docker-image://{ref}", log_name, ask, ",".join(predicate_types))

    async def source_facts(
        self, source: ops_pb2.SourceOp, wanted: Wanted, *, log_name: str = ""
    ) -> SourceFacts:
        """What a source that is no image says of itself; policies have been asked."""
        resolve = self.services.source_meta
        if resolve is None:
            scheme = source.identifier.partition("://")[0]
            raise Unsupported(f"no metadata for sources of type {scheme}")

        async def ask(ctx: OpContext) -> SourceFacts:
            return await resolve(source, ctx, wanted)

        return await self._logged(source.identifier, log_name, ask)

    def warn(
        self,
        vertex: str,
        short: str,
        *,
        level: int = 1,
        detail: Sequence[str] = (),
        url: str = "",
        source: SourceDetail | None = None,
        ranges: Sequence[Range] = (),
    ) -> None:
        """Put a warning into the build's status."""
        self.job.emit(
            VertexWarning(vertex, level or 1, short, tuple(detail), url, source, tuple(ranges))
        )

    def keep_failed_steps(self) -> None:
        """From now on: a frontend may look at them through `failed_state`."""
        self.job.set_value(FAILED_STEPS, self._failed_steps)

    def failed_state(self, id: str) -> ImmutableRef | None:
        """A state that the error of a failed step names. Raises `NotFound`."""
        return self._failed_steps.find(id)

    def containers(self) -> Containers:
        """For one frontend, which closes it. They are made on refs of this bridge."""
        if self.services.ops is None:
            raise Unsupported("containers for frontends are not supported by this daemon")
        services = self.services.ops
        return Containers(services, lambda: self.sessions, self._check_exec, self.proxied)

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

    async def _run_frontend(self, request: SolveRequest) -> BridgeResult:
        frontend = self.services.frontends.get(request.frontend)
        if frontend is None:
            raise InvalidRequest(f"invalid frontend: {request.frontend}")
        asked = FrontendRequest(request.opts, request.inputs, self.session)
        inner = copy(self)
        inner.scope = self.scope.within(request)
        return await frontend.build(asked, inner)

    async def _ask_image(
        self,
        ref: str,
        platform: Platform | None,
        mode: str,
        log_name: str,
        oci_store: OciStore | None,
    ) -> ResolvedImage:
        async def ask(ctx: OpContext) -> ResolvedConfig:
            images, sessions = self.services.images, ctx.sessions()
            if oci_store is None:
                return await images.resolve_config(ref, platform, mode, sessions)
            return await images.resolve_layout_config(
                ref,
                platform,
                store=oci_store.store,
                session=oci_store.session or self.session,
                sessions=sessions,
            )

        scheme = "docker-image" if oci_store is None else "oci-layout"
        where = platforms.format_all(platform or platforms.default_platform())
        found = await self._logged(f"{scheme}://{ref}", log_name, ask, where)
        return ResolvedImage(found.ref, found.digest, found.config)

    async def _logged(
        self,
        identifier: str,
        log_name: str,
        ask: Callable[[OpContext], Awaitable[T]],
        where: str = "",
    ) -> T:
        """Asking a source shows as a vertex, the same one for the same question."""
        name = log_name or f"resolve image config for {identifier}"
        digest = "sha256:" + hashlib.sha256((identifier + where).encode()).hexdigest()
        return await self.job.in_context(name, ask, digest=digest)


async def evaluate(result: BridgeResult) -> None:
    """Solve all refs of a result, at once."""
    refs = list(result.all_refs())
    if len(refs) == 1:
        await refs[0].evaluate()
        return
    try:
        async with asyncio.TaskGroup() as tasks:
            for ref in refs:
                tasks.create_task(ref.evaluate())
    except ExceptionGroup as errors:
        raise _first(errors) from None


def _first(errors: ExceptionGroup[Exception]) -> Exception:
    """The others most likely failed for the same reason."""
    error: Exception = errors
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


@asynccontextmanager
async def open_bridge(
    services: BridgeServices,
    job: Job,
    *,
    session: str,
    load_options: LoadOptions | None = None,
    policies: Sequence[policy_pb2.Policy] = (),
    verifier: Verifier | None = None,
    root: SolveRequest | None = None,
) -> AsyncIterator[Bridge]:
    """A bridge for one build. Inside, results may be used; leaving releases them. `root` is what
    the client asked of the daemon, for provenance."""
    options = load_options or LoadOptions(caps=services.llb_caps)
    bridge = Bridge(services, job, session, options, SourcePolicies(policies), verifier, root)
    if options.proxied:
        job.set_value(PROXIED, bridge.ask_in_place)
    try:
        yield bridge
    finally:
        await bridge.close()
