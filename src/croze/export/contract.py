"""What every exporter promises: a finished result goes out, once, whole or not at all.

For example:

    result = PlatformResult("linux/amd64", platform, ref, config)
    source = ExportSource([result], multi_platform=False)
    response = await exporter.export(source, ExportContext(session, [session], progress))
    digest = response["containerimage.digest"]
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import ParamSpec, Protocol, TypeVar

from msgspec import Struct, field

from croze import compatibility
from croze.image.platform import Platform
from croze.registry.client import Registry
from croze.session.contract import SessionManager
from croze.status import Progress
from croze.store.contract import BlobStore, ImmutableRef, RefStore
from croze.store.image_contract import ImageStore
from croze.workers.pool import Pool

P = ParamSpec("P")
T = TypeVar("T")


class NamedSubject(Struct, frozen=True):
    """Something that an attestation is about, with its digests by algorithm."""

    name: str
    digest: Mapping[str, str]


class Attestation(Struct, frozen=True):
    """An in-toto statement about one platform's result. `content` is the predicate's JSON, or the
    predicate is the file `path` in `ref`; a `bundle` is a directory there of whole statements."""

    predicate_type: str
    content: bytes = b""
    produce: Callable[[], Awaitable[bytes]] | None = None
    """Makes the content when it is asked for: once the result's layers are there, if it has any."""
    ref: ImmutableRef | None = None
    path: str = ""
    metadata: Mapping[str, bytes] = field(default_factory=dict)
    subjects: Sequence[NamedSubject | None] = (None,)
    """None stands for what the exporter makes of the result."""
    bundle: bool = False


class PlatformResult(Struct, frozen=True):
    """One platform's filesystem and image config. `ref` None is an empty filesystem."""

    key: str
    """The id the frontend gave it, usually the platform text; empty for a single result."""
    platform: Platform
    ref: ImmutableRef | None
    config: bytes = b""
    """Image config JSON as the frontend made it (without `rootfs`), or empty."""
    attestations: Sequence[Attestation] = ()


class ExportSource(Struct, frozen=True):
    """What a build made. `metadata` is the frontend's, keys without platform suffix resolved."""

    results: Sequence[PlatformResult]
    multi_platform: bool
    """True when the result must be an index even for one platform."""
    metadata: Mapping[str, bytes] = field(default_factory=dict)


InlineCache = Callable[[], Awaitable[Mapping[str, bytes]]]


class ExportContext(Struct, frozen=True):
    """The build that is exported. `session` is the client the output goes to; `sessions` may lend
    credentials. `id` is the exporter's id in the request, which the client uses to tell its targets
    apart. `compatibility` is one of `croze.compatibility`."""

    session: str
    sessions: Sequence[str]
    progress: Progress
    id: str = ""
    compatibility: int = compatibility.CURRENT
    inline_cache: InlineCache | None = None
    """For `type=inline` cache exports: called once the layers exist, answers with what goes into
    each image config as `moby.buildkit.cache.v0`, by the result's key."""


class Exporter(Protocol):
    """Puts out what was built. Made per request from its attributes; refuses bad ones with
    `errors.InvalidRequest` then, before anything is built."""

    @property
    def name(self) -> str:
        """What the progress line says, e.g. `exporting to image`."""

    async def export(self, source: ExportSource, ctx: ExportContext) -> Mapping[str, str]:
        """Put the result out; returns entries for the exporter response (`containerimage.digest`,
        ...)."""


class ExportServices(Struct, frozen=True):
    """What exporters work with."""

    refs: RefStore
    blobs: BlobStore
    images: ImageStore
    sessions: SessionManager
    registry: Registry
    pool: Pool
