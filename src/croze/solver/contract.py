"""The solver's vocabulary, and what it asks of the world.

The solver answers one question: *what is the result of this edge?* It knows vertices, cache keys
and results. What an op does, what a result is and where keys are kept is behind these protocols;
the tests fill them with arithmetic.

    base = Vertex("sha256:a", op)
    top = Vertex("sha256:b", other, inputs=(Edge(base),))
    said = await cache_map_of(resolver(top), ctx, 0)
    [result] = await resolver(top).execute(ctx, [of_base])
    await result.release()
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Protocol, Self, TypeVar

from msgspec import Struct, field

from croze.cachekeys.contract import StoredResult
from croze.job_values import JobKey
from croze.status import Progress, ProgressGroup

T = TypeVar("T")


class Limits(Protocol):
    """Limits of a vertex; outside its identity, so that builds that share it may have different
    ones."""

    def relaxed(self, other: object) -> Limits:
        """The limits of work that two builds share: neither is held back by what the `other` allows
        less."""


class Vertex(Struct, frozen=True, eq=False):
    """One node. Equality and hash are the digest's."""

    digest: str
    """Identity for sharing. Differs from the op's digest where options change the meaning of
    sharing (`ignore_cache`)."""
    op: object
    """What to do; only the `OpResolver` looks inside."""
    inputs: tuple[Edge, ...] = ()
    name: str = ""
    llb_digest: str = ""
    """The op's own digest, which errors name; empty when it is `digest`."""
    ignore_cache: bool = False
    export_cache: bool | None = None
    description: Mapping[str, str] = field(default_factory=dict)
    progress_group: ProgressGroup | None = None
    limits: Limits | None = None
    """What the op may use of the machine. The op is made with what all builds leave it that want
    the vertex by then."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vertex) and other.digest == self.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"Vertex({self.digest!r}, name={self.name!r})"  # its inputs may be thousands


class Edge(Struct, frozen=True):
    """Output `index` of `vertex`."""

    vertex: Vertex
    index: int = 0


class Result(Protocol):
    """A counted handle on whatever an op made. The solver never looks inside."""

    @property
    def id(self) -> str:
        """Stable and durable: `ResultStore.load(id)` finds it after a restart."""

    def clone(self) -> Self:
        """A second handle on the same result, to be released on its own."""

    async def release(self) -> None:
        """Give the handle back, once. The result itself stays as long as the store keeps it."""


class InputKeying(Struct, frozen=True):
    """How one input enters the cache key.

    `selector`: digest of the parts of the input that count, or empty for all of it. `content`:
    computes the content key of the input's result (a digest, or empty for none), None where
    content can't stand in for definition. `prepare`: run on the input's result before `content` or
    `execute` (brings a lazy one in); its context is the input's, so that progress shows there.
    """

    selector: str = ""
    content: Callable[[Result, OpContext], Awaitable[str]] | None = None
    prepare: Callable[[Result, OpContext], Awaitable[None]] | None = None


class CacheMap(Struct, frozen=True):
    """What an op says about its own cacheability.

    `digest` with the prefix `random:` in place of `sha256:` never leaves this daemon. `inputs` has
    one entry per input. An op may have several maps (an image: manifest digest, then chain ID);
    `done` is False while `cache_map(index + 1)` has more; later maps are only asked for when no
    result is found under the earlier ones.
    """

    digest: str
    inputs: tuple[InputKeying, ...] = ()
    done: bool = True


class OpContext(Protocol):
    """What an op may use while it works for one or many builds."""

    @property
    def vertex(self) -> Vertex:
        """The vertex whose op is at work."""

    @property
    def progress(self) -> Progress:
        """Where the op reports; all those builds see it."""

    def sessions(self) -> Sequence[str]:
        """Ids of the sessions of all builds that want this vertex now, oldest first."""

    def job_values(self, key: JobKey[T]) -> Sequence[T]:
        """What those builds' jobs carry under `key`."""


class Op(Protocol):
    """A vertex's behaviour. One instance serves all builds that share the vertex."""

    def cache_map(
        self, ctx: OpContext, index: int
    ) -> CacheMap | Coroutine[object, object, CacheMap]:
        """What the op says of its cacheability: at once where it follows from the op alone, or to
        be awaited. Pure in effect; called at most once per index and then remembered, unless it is
        cancelled."""

    async def execute(self, ctx: OpContext, inputs: Sequence[Result]) -> Sequence[Result]:
        """Do the work. The caller keeps the inputs; the outputs are the caller's to release, one
        per output index. Cancelled as an asyncio task: must clean up and re-raise."""


async def cache_map_of(op: Op, ctx: OpContext, index: int) -> CacheMap:
    """An op's cache map, for who can wait."""
    cache_map = op.cache_map(ctx, index)
    return cache_map if isinstance(cache_map, CacheMap) else await cache_map


class OpResolver(Protocol):
    """Gives a vertex its behaviour."""

    def __call__(self, vertex: Vertex) -> Op:
        """The op of a vertex; called once for as long as any build wants it. Raises
        `CrozeError`."""


class ResultStore(Protocol):
    """Finds results again by id."""

    def save(self, result: Result) -> StoredResult:
        """The result as key records name it: `load` finds it by that id."""

    def exists(self, id: str) -> bool:
        """Whether `load` would find the result. Quick."""

    async def load(self, id: str, *, uses: bool = True) -> Result:
        """The result of that id. Without `uses` it is only looked at, which is no reason to keep
        it. Raises `errors.NotFound` when it is gone."""
