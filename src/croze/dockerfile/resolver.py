"""The Dockerfile frontend's whole view of the world.

`gateway` implements it over a running build; tests implement it with plain values. Everything that
is not a question to this protocol is computed from text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Struct, field

from croze.api import ops_pb2
from croze.errors import Unsupported
from croze.image.platform import Platform
from croze.status import VertexWarning


class Syntax(Struct, frozen=True):
    """Another frontend that the Dockerfile or the client asks for: its image, and the whole text
    of the request."""

    image: str
    cmdline: str


class OciStore(Struct, frozen=True):
    """Where an `oci-layout://` reference is: a content store of a session."""

    session: str
    store: str


class ImageQuestion(Struct, frozen=True):
    """What is asked for an image's config. `mode` is `default`, `pull` or `local`; `log_name` is
    what progress calls it."""

    ref: str
    platform: Platform | None = None
    mode: str = ""
    log_name: str = ""
    oci_store: OciStore | None = None


class ResolvedImage(Struct, frozen=True):
    """An image's config. `ref` may differ from the one asked for (a policy converted it); `digest`
    may be empty."""

    ref: str
    digest: str
    config: bytes
    """The image config's JSON."""


class SourceMeta(Struct, frozen=True):
    """What a source says of itself without being fetched. Absent answers are None."""

    committer_time: int | None = None
    """Unix seconds; a git source's commit."""
    last_modified: int | None = None
    """Unix seconds; an http source's header."""
    filename: str = ""


class ReplacedImage(Unsupported):
    """A policy has put something that is no image in an image's place."""

    def __init__(self, message: str, identifier: str) -> None:
        super().__init__(message)
        self.identifier = identifier
        """The identifier of the source that is used instead, such as `local://name`."""


class DockerfileAccess(Protocol):
    """What it takes to find and read a Dockerfile."""

    async def read_file(
        self, definition: ops_pb2.Definition, path: str, *, limit_bytes: int | None = None
    ) -> bytes:
        """Solve and read. Raises `errors.NotFound` when there is no such file."""

    async def inputs(self) -> Mapping[str, ops_pb2.Definition]:
        """The definitions of the request's frontend inputs, by name."""

    @property
    def session(self) -> str:
        """The id of the client's session, which local sources are asked for by."""


class Resolver(DockerfileAccess, Protocol):
    """What a frontend may ask while it turns text into LLB."""

    async def resolve_image(self, question: ImageQuestion) -> ResolvedImage:
        """Equal questions share the work. Raises `errors.NotFound`, worded `<ref>: not found`."""

    async def source_meta(self, source: ops_pb2.SourceOp, *, log_name: str) -> SourceMeta:
        """What a source (git, http, ...) says of itself before it is used; progress is shown in a
        step called `log_name`."""

    async def list_dir(self, definition: ops_pb2.Definition, path: str) -> Sequence[str]:
        """Names in a directory of a solved definition."""

    def worker_platforms(self) -> Sequence[Platform]:
        """Platforms that the daemon can build for, its own first."""

    def has_cap(self, id: str) -> bool:
        """Whether the daemon has an LLB capability (`mergeop`, `file.base`, ...)."""

    async def warn(self, warnings: Sequence[VertexWarning]) -> None:
        """All at once: each has the whole file with it, which they share."""


class Scan(Struct, frozen=True):
    """What one platform's SBOM is about besides the result, by stage name or `context`. With
    `ignore_cache` the scan is to run again."""

    extras: Mapping[str, ops_pb2.Definition]
    ignore_cache: bool


class FrontendResult(Struct, frozen=True):
    """What a frontend returns: one definition, or one per platform key, and metadata.

    `definitions` maps the platform key (or `""` when there is one result) to its LLB; an empty
    definition is scratch. `scans`, if the client asks for an SBOM, is always by platform key.
    """

    definitions: Mapping[str, ops_pb2.Definition]
    metadata: Mapping[str, bytes]
    scans: Mapping[str, Scan] = field(default_factory=dict)
