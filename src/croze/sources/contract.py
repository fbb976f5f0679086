"""What a source promises: a key that says what it would bring, and the bringing of it.

For example:

    source = factory.open(SourceRequest("https://example.com/a.tar", {}))
    key = await source.key(ctx, 0)
    if (ref := await source.snapshot(ctx)) is not None:
        await ref.release()
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec import Struct, field

from croze.sources.materials import UsedMaterial
from croze.sources.request import SourceRequest
from croze.sources.resolutions import GitCommit, HeldRefs, HttpFile, KeptAnswers
from croze.status import Progress
from croze.store.contract import ImmutableRef

Prefetch = Callable[[SourceRequest], None]
"""Says that a source is likely to be wanted soon: what can be begun before that, without a trace if
it is not, begins."""


def no_prefetch(request: SourceRequest) -> None:
    """A `Prefetch` that waits until it is asked."""


class BuildSources(Struct, frozen=True):
    """What sources know of one build. `close` it when the build ends.

    `commits` and `files` are by remote and reference, and by what a file is asked for with.
    `compatibility` is `SolveRequest.CompatibilityVersion`: do as an old BuildKit would have done;
    0 is today's way."""

    compatibility: int = 0
    commits: KeptAnswers[GitCommit] = field(default_factory=KeptAnswers)
    files: KeptAnswers[HttpFile] = field(default_factory=KeptAnswers)
    held: HeldRefs = field(default_factory=HeldRefs)
    brought: set[tuple[str, str, str]] = field(default_factory=set)
    """Blobs that it has had from where they are said to be: the reference, and a client's store and
    session."""
    prefetch: Prefetch = no_prefetch
    imports_caches: bool = False
    """All that files are wanted for may be found there."""

    async def close(self) -> None:
        await self.held.release()


class SourceContext(Struct, frozen=True):
    """The builds that want a source, as far as the source needs to know them."""

    sessions: Sequence[str]
    """Ids of sessions that may lend credentials or files, oldest first."""
    progress: Progress
    build: BuildSources = field(default_factory=lambda: BuildSources())


class SourceKey(Struct, frozen=True):
    """What a source's content is known by. `key` is hashed by the op into its cache digest;
    `session:` keys are private to the daemon. `pin` is what the mutable name resolved to (a digest,
    a commit), for provenance."""

    key: str
    pin: str = ""
    done: bool = True


class Source(Protocol):
    """One identifier, for one vertex; remembers between calls what it resolved."""

    async def key(self, ctx: SourceContext, index: int) -> SourceKey:
        """See `CacheMap`: more keys follow while `done` is False."""

    async def snapshot(self, ctx: SourceContext) -> ImmutableRef | None:
        """The content, lazily where the source can. None is an empty filesystem. The handle is
        the caller's. Called after `key`."""

    def used(self, pin: str) -> UsedMaterial:
        """The source as a material; `pin` is that of its key."""


class SourceFactory(Protocol):
    """One scheme or a few; all requests with `schemes` come here."""

    @property
    def schemes(self) -> tuple[str, ...]:
        """What stands before `://` in the identifiers that it opens."""

    def open(self, request: SourceRequest) -> Source:
        """The source that an op asks for. Raises `errors.InvalidRequest` for a malformed identifier
        or attribute."""
