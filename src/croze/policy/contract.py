"""What a policy may ask of the world around it, and what answers.

For example:

    text = await files.read("allowed.json", 1 << 20)
    answer = await sources.resolve(request)
    signed = await verifier.verify_image(chain, "linux/amd64")
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol, TypeAlias

from msgspec import Struct, field

if TYPE_CHECKING:
    from croze.api import gateway_pb2


class PolicyFileReader(Protocol):
    """The files that a policy may read: those of its build context."""

    async def read(self, path: str, most_bytes: int) -> bytes:
        """The beginning of a file. Raises `NotFound`, or another `CrozeError`."""


class PolicySources(Protocol):
    """What a daemon knows of sources."""

    async def resolve(
        self, request: gateway_pb2.ResolveSourceMetaRequest
    ) -> gateway_pb2.ResolveSourceMetaResponse:
        """What the daemon knows of the request's source. Raises `CrozeError`."""

    async def fetch(self, url: str, filename: str, name: str, accept: str = "") -> bytes:
        """A file from the web, fetched by the daemon in a step of that name."""


class SignatureVerifier(Protocol):
    """Checks Sigstore bundles. Both raise `CrozeError` for what does not hold, and answer who
    signed it, as an input document has it (`image.signatures`)."""

    async def verify_image(
        self, chain: gateway_pb2.AttestationChain, platform: str
    ) -> Mapping[str, object] | None:
        """Who signed an image, by its chain; None if nobody did."""

    async def verify_artifact(self, digest: str, bundle: bytes) -> Mapping[str, object]:
        """Who signed the bytes with this digest, by a serialised Sigstore bundle."""


# -- questions, as a worker process asks them --


class ReadFile(Struct, frozen=True):
    """Up to so many bytes of a file of the build's context."""

    path: str
    most_bytes: int


class ResolveSource(Struct, frozen=True):
    """What the daemon knows of a source."""

    request: bytes
    """A `ResolveSourceMetaRequest`; the answer is a `ResolveSourceMetaResponse`."""


class VerifyImage(Struct, frozen=True):
    """Who signed an image: see `SignatureVerifier.verify_image`."""

    chain: bytes
    """An `AttestationChain`."""
    platform: str


class VerifyArtifact(Struct, frozen=True):
    """Who signed bytes: see `SignatureVerifier.verify_artifact`."""

    digest: str
    bundle: bytes


class GitHubBundles(Struct, frozen=True):
    """The bundles that GitHub keeps for a file of a repository."""

    repository: str
    digest: str


class DefaultPlatform(Struct, frozen=True):
    """Which platform the daemon builds for by itself, as a text."""


class Say(Struct, frozen=True):
    """Something for the log."""

    level: int
    message: str


Question: TypeAlias = (
    ReadFile | ResolveSource | VerifyImage | VerifyArtifact | GitHubBundles | DefaultPlatform | Say
)

ERROR, WARNING, INFO, DEBUG = 2, 3, 4, 5
"""Levels of logs, by logrus's numbers: what is higher says more."""


class PolicyFile(Struct, frozen=True):
    """A module of a policy, as text."""

    name: str
    """As messages call it."""
    text: str


class PolicyEnv(Struct, frozen=True):
    """What a policy knows of the build itself."""

    args: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    filename: str = ""
    target: str = ""


class Setup(Struct, frozen=True):
    """A policy and its surroundings, for a worker."""

    files: tuple[PolicyFile, ...]
    env: PolicyEnv = field(default_factory=PolicyEnv)
    default_platform: str = ""
    """Counts where a request names none."""
    logs: bool = True
    """Whether somebody reads the log; without, `print` does nothing."""
    sources: bool = True
    """Whether somebody answers `ResolveSource` and `GitHubBundles`."""
    verifier: bool = True
