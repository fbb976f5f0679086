"""What a build asks of sources before it uses them, and what policies say to that."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from typing import Protocol, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from croze.aio.once import Once
from croze.api import gateway_pb2, ops_pb2, policy_pb2
from croze.digests import digest_of
from croze.dockerfile.resolver import ImageQuestion, ReplacedImage, ResolvedImage
from croze.errors import CrozeError, PermissionDenied, Unsupported
from croze.files.redact import redact
from croze.gateway import source_meta, verify
from croze.gateway.policy import SourcePolicies, normalized
from croze.gateway.scopes import RequestScope
from croze.gateway.verify import DecisionVerifier
from croze.image import platform as platforms
from croze.image.platform import Platform
from croze.llb.graph import platform_message
from croze.patterns import lazy_pattern
from croze.solver.contract import OpContext
from croze.solver.solver import Job
from croze.sources.attestation_chain import AttestationChain
from croze.sources.facts import FactsWanted, SourceFacts
from croze.sources.images import ResolvedConfig
from croze.sources.materials import ImageMaterial

T = TypeVar("T")
Decide = Callable[[ops_pb2.Op], Awaitable[ops_pb2.SourceOp | None]]
_WEB = lazy_pattern(r"https?://[^/]")


class ImageConfigs(Protocol):
    """Knows the configs of images; `sources.images.Images`."""

    async def resolve_config(
        self, ref: str, platform: Platform | None, mode: str, sessions: Sequence[str]
    ) -> ResolvedConfig:
        """The config of an image in a registry or in the local store. `mode` is LLB's
        `image.resolvemode`. Raises `NotFound`, worded `<ref>: not found`."""

    async def resolve_layout_config(
        self,
        ref: str,
        platform: Platform | None,
        *,
        store: str,
        session: str,
        sessions: Sequence[str],
    ) -> ResolvedConfig:
        """The config of an image in content store `store` of the client with session `session`.
        `ref` must have a digest. Raises `NotFound`."""


class SourceMetas(Protocol):
    """Knows what other sources say of themselves (git, http)."""

    async def __call__(
        self, source: ops_pb2.SourceOp, ctx: OpContext, facts: FactsWanted
    ) -> SourceFacts:
        """What `facts` asks of `source`. Raises `CrozeError`."""


class AttestationChains(Protocol):
    """Knows how images' attestations hang together."""

    async def __call__(
        self,
        ref: str,
        platform: Platform | None,
        mode: str,
        predicate_types: Sequence[str],
        ctx: OpContext,
    ) -> AttestationChain | None:
        """The attestations of an image, of these in-toto predicate types; None if it has none.
        Raises `NotFound` for the image."""


class SourceServices(Struct, frozen=True):
    """What knows of sources. `attestations` and `metas` may be missing."""

    images: ImageConfigs
    metas: SourceMetas | None = None
    attestations: AttestationChains | None = None


class SourceResolution:
    """What one build has found out of its sources. `policies` are what the client sent along;
    `verifier`, if there is one, asks the client about each source. What was asked of images goes
    into `scope`."""

    def __init__(
        self,
        services: SourceServices,
        job: Job,
        session: str,
        scope: RequestScope,
        policies: SourcePolicies,
        verifier: DecisionVerifier | None = None,
    ) -> None:
        self._services = services
        self._job = job
        self._session = session
        self._scope = scope
        self._policies = policies
        self._verifier = verifier
        self._images: dict[ImageQuestion, Once[ResolvedImage]] = {}

    def within(self, scope: RequestScope) -> SourceResolution:
        """A view of it for another request of the build, which knows what was answered before, and
        notes what is asked from here in that request's scope."""
        other = copy(self)
        other._scope = scope
        return other

    # Policies

    async def decide(
        self,
        source: ops_pb2.SourceOp,
        policies: Sequence[policy_pb2.Policy] = (),
        *,
        platform: ops_pb2.Platform | None = None,
    ) -> ops_pb2.SourceOp:
        """What the policies make of a source that is asked about. Raises when it is denied."""
        op = ops_pb2.Op(source=source, platform=platform)
        with _said("could not resolve image due to policy"):
            return await self._evaluate(op, self._policies.also(policies))

    def deciding(self, policies: Sequence[policy_pb2.Policy] = ()) -> Decide | None:
        """What the policies make of the source of an op that is loaded: another one, or None if it
        stays. None where there are no policies."""
        rules = self._policies.also(policies)
        if not rules and self._verifier is None:
            return None

        async def decide(op: ops_pb2.Op) -> ops_pb2.SourceOp | None:
            same = ops_pb2.SourceOp(identifier=normalized(op.source), attrs=op.source.attrs)
            with _said("error evaluating the source policy"):
                decided = await self._evaluate(op, rules)
            return decided if decided != same else None

        return decide

    async def ask_in_place(self, method: str, url: str) -> str:
        """The rules of a proxied build's requests: what policies make of an address of the web.
        Raises when it is refused."""
        if not self._policies and self._verifier is None:
            return url
        identifier = redact(url)
        decided = await self.decide(ops_pb2.SourceOp(identifier=identifier))
        if decided.identifier == identifier and not decided.attrs:
            return url
        if method != "GET" or decided.attrs or not _WEB.match(decided.identifier):
            raise PermissionDenied(f"source policy can't convert the request {method} {identifier}")
        return decided.identifier

    async def _evaluate(self, op: ops_pb2.Op, rules: SourcePolicies) -> ops_pb2.SourceOp:
        return await verify.evaluate(op, rules, self._verifier, self._answer_policy)

    async def _answer_policy(
        self, request: gateway_pb2.ResolveSourceMetaRequest
    ) -> gateway_pb2.ResolveSourceMetaResponse:
        """What the client's policy wants to know; only rules stand in its way."""
        with _said("could not resolve image due to policy"):
            request.Source.CopyFrom(self._policies.decide(request.Source))
        return await source_meta.resolve(self, request)

    # Images

    async def resolve_image(self, question: ImageQuestion) -> ResolvedImage:
        """An image's digest and config, if policies allow it."""
        with resolving(question.ref):
            ref = await self._decide_image(question)
            return await self.ask_image(replace(question, ref=ref))

    async def ask_image(self, question: ImageQuestion) -> ResolvedImage:
        """An image's digest and config, when policies have been asked already. Equal questions are
        asked once per build."""
        same = replace(question, log_name="")
        once = self._images.get(same)
        if once is None:

            async def ask() -> ResolvedImage:
                return await self._ask_image(question)

            once = self._images[same] = Once(ask)
        image = await once.get()
        local = question.oci_store is not None
        material = ImageMaterial(question.ref, question.platform, image.digest, local)
        self._scope.images.append(material)
        return image

    async def _decide_image(self, question: ImageQuestion) -> str:
        store = question.oci_store
        scheme = "docker-image://" if store is None else "oci-layout://"
        source = ops_pb2.SourceOp(identifier=scheme + question.ref)
        if store is not None:
            source.attrs["oci.session"], source.attrs["oci.store"] = store.session, store.store
        where = question.platform
        platform = platform_message(where) if where is not None else None
        decided = (await self.decide(source, platform=platform)).identifier
        if not decided.startswith(scheme):
            text = f"ref mutated by policy to non-image: {scheme}{question.ref} -> {decided}"
            raise ReplacedImage(text, decided)
        return decided.removeprefix(scheme)

    async def _ask_image(self, question: ImageQuestion) -> ResolvedImage:
        ref, platform, store = question.ref, question.platform, question.oci_store

        async def ask(ctx: OpContext) -> ResolvedConfig:
            images, sessions = self._services.images, ctx.sessions()
            if store is None:
                return await images.resolve_config(ref, platform, question.mode, sessions)
            return await images.resolve_layout_config(
                ref,
                platform,
                store=store.store,
                session=store.session or self._session,
                sessions=sessions,
            )

        scheme = "docker-image" if store is None else "oci-layout"
        where = platforms.format_all(platform or platforms.default_platform())
        config = await self._logged(f"{scheme}://{ref}", question.log_name, ask, where)
        return ResolvedImage(config.ref, config.digest, config.config)

    async def attestations(
        self, question: ImageQuestion, predicate_types: Sequence[str]
    ) -> AttestationChain | None:
        """How an image's attestations hang together; policies have been asked."""
        resolve = self._services.attestations
        if resolve is None:
            raise Unsupported("no attestations of images here")

        async def ask(ctx: OpContext) -> AttestationChain | None:
            return await resolve(
                question.ref, question.platform, question.mode, predicate_types, ctx
            )

        identifier, where = f"docker-image://{question.ref}", ",".join(predicate_types)
        return await self._logged(identifier, question.log_name, ask, where)

    # Other sources

    async def source_facts(
        self, source: ops_pb2.SourceOp, facts: FactsWanted, *, log_name: str = ""
    ) -> SourceFacts:
        """What a source that is no image says of itself; policies have been asked."""
        resolve = self._services.metas
        if resolve is None:
            scheme = source.identifier.partition("://")[0]
            raise Unsupported(f"no metadata for sources of type {scheme}")

        async def ask(ctx: OpContext) -> SourceFacts:
            return await resolve(source, ctx, facts)

        return await self._logged(source.identifier, log_name, ask)

    async def _logged(
        self,
        identifier: str,
        log_name: str,
        ask: Callable[[OpContext], Awaitable[T]],
        where: str = "",
    ) -> T:
        """Asking a source shows as a vertex, the same one for the same question."""
        name = log_name or f"resolve image config for {identifier}"
        digest = digest_of((identifier + where).encode())
        return await self._job.in_context(name, ask, digest=digest)


@contextmanager
def resolving(ref: str) -> Iterator[None]:
    """Errors say which image was asked about."""
    try:
        yield
    except CrozeError as error:
        raise error.wrap(f"failed to resolve source metadata for {ref}") from error.__cause__


@contextmanager
def _said(prefix: str) -> Iterator[None]:
    try:
        yield
    except CrozeError as error:
        raise error.wrap(prefix) from None
