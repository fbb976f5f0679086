"""The frontend in a worker process: what it asks its `Resolver` goes to the daemon as questions.

`build` and `named` are what runs in a worker, which alone imports the frontend; `answering` is the
other end, with the real resolver. A Dockerfile can't hold up the daemon by what it takes to read
it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

from msgspec import Struct

from croze.api import ops_pb2
from croze.dockerfile.resolver import (
    FrontendResult,
    ImageQuestion,
    ResolvedImage,
    Resolver,
    SourceMeta,
    Syntax,
)
from croze.image.config import ImageConfig
from croze.image.platform import Platform
from croze.status import VertexWarning

Ask = Callable[[object], Awaitable[object]]
T = TypeVar("T")


class Facts(Struct, frozen=True):
    """What the frontend may know without asking."""

    inputs: Mapping[str, ops_pb2.Definition]
    platforms: Sequence[Platform]
    caps: frozenset[str]
    session: str


class MetaAsked(Struct, frozen=True):
    """What a source is: `Resolver.source_meta`."""

    source: ops_pb2.SourceOp
    log_name: str


class FileAsked(Struct, frozen=True):
    """The contents of a file: `DockerfileAccess.read_file`."""

    definition: ops_pb2.Definition
    path: str
    limit_bytes: int | None


class NamesAsked(Struct, frozen=True):
    """The names in a directory: `Resolver.list_dir`."""

    definition: ops_pb2.Definition
    path: str


class Warned(Struct, frozen=True):
    """What is no question."""

    warnings: tuple[VertexWarning, ...]


class ForwardAsked(Struct, frozen=True):
    """The frontend that `# syntax=` names is to have the Dockerfile; `Forwarded` is the answer."""

    syntax: Syntax


class Forwarded(Struct, frozen=True):
    """Who has answered: `here` is this very frontend, perhaps with what is still in the labs."""

    here: bool
    labs: bool = False


class AskingResolver:
    """See `resolver.Resolver`."""

    def __init__(self, ask: Ask, facts: Facts) -> None:
        self._ask = ask
        self._facts = facts

    async def _get(self, question: object, kind: type[T]) -> T:
        answer = await self._ask(question)
        assert isinstance(answer, kind)
        return answer

    async def resolve_image(self, question: ImageQuestion) -> ResolvedImage:
        return await self._get(question, ResolvedImage)

    async def source_meta(self, source: ops_pb2.SourceOp, *, log_name: str) -> SourceMeta:
        return await self._get(MetaAsked(source, log_name), SourceMeta)

    async def read_file(
        self, definition: ops_pb2.Definition, path: str, *, limit_bytes: int | None = None
    ) -> bytes:
        return await self._get(FileAsked(definition, path, limit_bytes), bytes)

    async def list_dir(self, definition: ops_pb2.Definition, path: str) -> Sequence[str]:
        return [str(name) for name in await self._get(NamesAsked(definition, path), list)]

    async def inputs(self) -> Mapping[str, ops_pb2.Definition]:
        return self._facts.inputs

    def worker_platforms(self) -> Sequence[Platform]:
        return self._facts.platforms

    def has_cap(self, id: str) -> bool:
        return id in self._facts.caps

    @property
    def session(self) -> str:
        return self._facts.session

    async def warn(self, warnings: Sequence[VertexWarning]) -> None:
        await self._ask(Warned(tuple(warnings)))


async def build(ask: Ask, opts: Mapping[str, str], facts: Facts) -> FrontendResult | None:
    """`frontend.build`, in a worker. None if another frontend has answered."""
    from croze.dockerfile import frontend

    resolver = AskingResolver(ask, facts)
    elsewhere = False

    async def forward(syntax: Syntax) -> FrontendResult | None:
        nonlocal elsewhere
        forwarded = await ask(ForwardAsked(syntax))
        assert isinstance(forwarded, Forwarded)
        if not forwarded.here:
            elsewhere = True
            return FrontendResult({}, {})
        return await frontend.build(opts, resolver, labs=True) if forwarded.labs else None

    answer = await frontend.build(opts, resolver, forward=forward)
    return None if elsewhere else answer


async def named(
    ask: Ask, opts: Mapping[str, str], facts: Facts, name: str
) -> tuple[ops_pb2.Definition, ImageConfig | None] | None:
    """The named context that stands in for an image, if there is one."""
    from croze.dockerfile.contexts import BuildContexts
    from croze.dockerfile.named_contexts import find_named
    from croze.dockerfile.options import parse_options

    resolver = AskingResolver(ask, facts)
    options = parse_options(opts, resolver.worker_platforms(), resolver.has_cap)
    context = find_named(BuildContexts(options, resolver), name)
    if context is None:
        return None
    state, config = await context.load()
    return state.marshal(), config


def answering(resolver: Resolver, forward: Callable[[Syntax], Awaitable[Forwarded]]) -> Ask:
    """What the daemon says to the questions."""

    async def answer(question: object) -> object:
        match question:
            case ImageQuestion():
                return await resolver.resolve_image(question)
            case MetaAsked(source, log_name):
                return await resolver.source_meta(source, log_name=log_name)
            case FileAsked(definition, path, limit_bytes):
                data = await resolver.read_file(definition, path, limit_bytes=limit_bytes)
                return bytes(data)
            case NamesAsked(definition, path):
                return list(await resolver.list_dir(definition, path))
            case Warned(warnings):
                await resolver.warn(warnings)
                return None
            case ForwardAsked(syntax):
                return await forward(syntax)
        raise AssertionError(f"the frontend does not ask this: {question}")

    return answer
