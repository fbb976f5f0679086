"""Policies in force: evaluated in worker processes, their questions answered here."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar
from urllib.parse import quote as quoted

from croze.api import gateway_pb2, policy_pb2, policysession_pb2
from croze.errors import CrozeError, InvalidRequest, Unavailable
from croze.http.urls import parse_url
from croze.policy import snappy, work
from croze.policy.contract import (
    INFO,
    WARNING,
    DefaultPlatform,
    GitHubBundles,
    PolicyFileReader,
    PolicySources,
    ReadFile,
    ResolveSource,
    Say,
    Setup,
    SignatureVerifier,
    VerifyArtifact,
    VerifyImage,
)
from croze.policy.documents.provenance import V1
from croze.workers.pool import Conversations, TooMuchWork

T = TypeVar("T")
MOST_BUNDLE_BYTES = 8 << 20
_REPOSITORY = re.compile(r"[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+")


class Answering:
    """Answers what a policy asks."""

    def __init__(
        self,
        files: PolicyFileReader | None,
        sources: PolicySources | None,
        verifier: SignatureVerifier,
        log: Callable[[int, str], None],
        platform: Callable[[], Awaitable[str]] | None = None,
    ) -> None:
        """`log` gets a level and a message. Without `files` or `sources` questions about them are
        refused."""
        self._files, self._sources, self._verifier = files, sources, verifier
        self._log = log
        self._platform = platform

    async def answer(self, question: object) -> object:
        """The answer to a question of a policy that runs in a worker. Raises `CrozeError`."""
        match question:
            case Say(level, message):
                self._log(level, message)
                return None
            case ReadFile(path, most_bytes):
                if self._files is None:
                    raise CrozeError("no policy FS defined for reading context files")
                return await self._files.read(path, most_bytes)
            case ResolveSource(request):
                meta_request = gateway_pb2.ResolveSourceMetaRequest.FromString(request)
                return (await self._known_sources().resolve(meta_request)).SerializeToString()
            case DefaultPlatform():
                if self._platform is None:
                    raise CrozeError("resolver platform not configured")
                return await self._platform()
            case GitHubBundles(repository, digest):
                return await self._bundles(repository, digest)
            case VerifyImage(chain, platform):
                attested = gateway_pb2.AttestationChain.FromString(chain)
                return await self._verified(self._verifier.verify_image(attested, platform))
            case VerifyArtifact(digest, bundle):
                return dict(await self._verified(self._verifier.verify_artifact(digest, bundle)))
        raise CrozeError(f"no question: {type(question).__name__}")

    async def _verified(self, verification: Awaitable[T]) -> T:
        """That nothing can be verified is no fault of the image's: who reads the log hears of it,
        whatever the policy makes of that."""
        try:
            return await verification
        except (Unavailable, InvalidRequest) as error:
            self._log(WARNING, f"signatures can't be verified: {error}")
            raise

    def _known_sources(self) -> PolicySources:
        if self._sources is None:
            raise CrozeError("source resolver is not configured")
        return self._sources

    # -- what GitHub knows of a file --

    async def _bundles(self, repository: str, digest: str) -> tuple[bytes, ...]:
        """The attestations that GitHub has of a file, as the daemon fetches them."""
        if not _REPOSITORY.fullmatch(repository):
            raise CrozeError(f"invalid repository {repository}")
        sources = self._known_sources()
        url = f"https://api.github.com/repos/{repository}/attestations/{digest}"
        shown = f"{repository}@{digest}"
        try:
            data = await sources.fetch(
                f"{url}?predicate_type={quoted(V1, safe='')}",
                "attestation.json",
                f"[policy] fetch GitHub attestation {shown}",
                "application/vnd.github+json",
            )
        except CrozeError as error:
            self._log(INFO, f"github_attestation: failed reading bundles for {shown}: {error}")
            return ()
        inline, urls = _listed(data)
        for each in urls:
            bundle = await self._bundle(sources, each)
            inline += [bundle] if bundle else []
        if not inline:
            self._log(INFO, f"github_attestation: no bundle found for {shown}")
        return tuple(inline)

    async def _bundle(self, sources: PolicySources, url: str) -> bytes:
        """Empty if there is none."""
        name = url.partition("?")[0]
        try:
            step = f"[policy] fetch GitHub attestation bundle {name}"
            data = await sources.fetch(url, "bundle.json", step)
            if parse_url(url).path.endswith(".json.sn"):
                data = snappy.decompress(data, MOST_BUNDLE_BYTES)
        except (CrozeError, ValueError) as error:
            self._log(INFO, f"github_attestation: failed fetching bundle_url {name}: {error}")
            return b""
        return b"" if data.strip() in (b"", b"null") else data.strip()


def _listed(data: bytes) -> tuple[list[bytes], list[str]]:
    """Bundles, and addresses of further ones."""
    try:
        listed = json.loads(data)["attestations"]
        entries = [each for each in listed if isinstance(each, dict)]
    except (ValueError, KeyError, TypeError, RecursionError):
        return [], []
    inline = [json.dumps(e["bundle"]).encode() for e in entries if e.get("bundle")]
    urls = [e["bundle_url"] for e in entries if isinstance(e.get("bundle_url"), str)]
    return inline, [url for url in urls if url.startswith("https://")]


class Policy:
    """One policy."""

    def __init__(self, workers: Conversations, setup: Setup, answering: Answering) -> None:
        self._workers, self._setup, self._answering = workers, setup, answering

    async def check(
        self, request: policysession_pb2.CheckPolicyRequest
    ) -> policysession_pb2.CheckPolicyResponse:
        """The decision on a source, or what must be known first. Raises `CrozeError`."""
        try:
            data = await self._workers.converse(
                self._answering.answer,
                work.CPU_S,
                work.check,
                self._setup,
                request.SerializeToString(),
            )
        except TooMuchWork:
            raise self._too_long() from None
        return policysession_pb2.CheckPolicyResponse.FromString(data)

    async def caps(self) -> dict[str, bool]:
        """What the policy wants of the build itself, by name. Raises `CrozeError`."""
        try:
            return await self._workers.converse(
                self._answering.answer, work.CPU_S, work.caps, self._setup
            )
        except TooMuchWork:
            raise self._too_long() from None

    def _too_long(self) -> CrozeError:
        names = ", ".join(each.name for each in self._setup.files)
        return CrozeError(f"policy {names} computes for more than {work.CPU_S} s")


async def check_all(
    policies: Sequence[Policy], request: policysession_pb2.CheckPolicyRequest
) -> policysession_pb2.CheckPolicyResponse:
    """Allowed is what all allow. The first that says something else is what counts."""
    for policy in policies:
        response = await policy.check(request)
        decides = response.WhichOneof("result") == "decision"
        if not decides or response.decision.action != policy_pb2.ALLOW:
            return response
    allowed = policysession_pb2.CheckPolicyResponse()
    allowed.decision.action = policy_pb2.ALLOW
    return allowed
