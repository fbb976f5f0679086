"""Whether the image that a builder is to run is Docker's own: signed, by the repository's builder.

Source: docker/buildx `policy/image_policy.go`, `driver/image.go`.
"""

from __future__ import annotations

from croze.api import gateway_pb2, ops_pb2, policy_pb2, policysession_pb2
from croze.client.connect import Client
from croze.client.decisions.decide import decide, sources_of
from croze.client.policies.signatures import verifier
from croze.client.policies.source_resolver import SourceResolver
from croze.errors import CrozeError, PermissionDenied
from croze.image import platform as platforms
from croze.image.platform import Platform
from croze.image.reference import Reference
from croze.policy import work
from croze.policy.contract import PolicyFile, Setup
from croze.policy.evaluator import Answering, Policy
from croze.policy.library import DEFAULT_NAME, default_policy
from croze.policy.metadata import platform_message
from croze.workers.pool import WorkerPool


async def verified_digest(client: Client, ref: Reference, platform: Platform) -> str:
    """The digest that the reference stands for, which buildx's own policy allows. `client`: of a
    daemon that asks the registry.

    Raises `CrozeError`.
    """
    request = policysession_pb2.CheckPolicyRequest(Platform=platform_message(platform))
    request.Source.Source.identifier = f"docker-image://{ref}"
    reasons: list[str] = []
    async with sources_of(client) as sources, WorkerPool(1, modules=work.MODULES) as workers:
        setup = Setup((PolicyFile(DEFAULT_NAME, default_policy()),))
        answering = Answering(None, sources, verifier(), lambda _, message: reasons.append(message))
        decision = await decide(Policy(workers, setup, answering), _Signed(sources), request)
        if decision.action in (policy_pb2.ALLOW, policy_pb2.CONVERT):
            return await _digest(sources, request, ref)
    denied = "; ".join(each.message for each in decision.denyMessages if each.message)
    why = next((each for each in reasons if "image signatures" in each), "")
    message = denied or f"image {ref} is not allowed by policy"
    raise PermissionDenied(f"{message} ({why})" if why else message)


class _Signed:
    """`PolicySources`, of a daemon that must know of signatures when it is asked for them."""

    def __init__(self, sources: SourceResolver) -> None:
        self._sources = sources
        self.fetch = sources.fetch

    async def resolve(
        self, request: gateway_pb2.ResolveSourceMetaRequest
    ) -> gateway_pb2.ResolveSourceMetaResponse:
        resolved = await self._sources.resolve(request)
        if request.Image.AttestationChain and not resolved.Image.HasField("AttestationChain"):
            name = request.Source.identifier.removeprefix("docker-image://")
            raise CrozeError(
                f"no signature metadata available for {name}: image is not signed or the daemon "
                "does not support resolving it"
            )
        return resolved


async def _digest(
    sources: SourceResolver, request: policysession_pb2.CheckPolicyRequest, ref: Reference
) -> str:
    digest = request.Source.Image.Digest or ref.digest
    if not digest:
        meta_request = gateway_pb2.ResolveSourceMetaRequest(
            Source=ops_pb2.SourceOp(identifier=request.Source.Source.identifier),
            Platform=request.Platform,
        )
        meta_request.Image.NoConfig = True
        digest = (await sources.resolve(meta_request)).Image.Digest
    if not digest:
        raise CrozeError(f"failed to resolve digest for {ref}")
    return digest


def platform_of(system: str, architecture: str) -> Platform:
    """An engine's, by what it calls them; ours if it says nothing that we know."""
    try:
        return platforms.parse(f"{system}/{architecture}")
    except CrozeError:
        return platforms.default_platform()
