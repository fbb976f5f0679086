"""Vertices and edges, and turning them into a `pb.Definition`.

A state points at an output; an output is an edge, or a promise of one. Marshalling walks from it to
the sources and writes each vertex once, inputs first.
"""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from msgspec import Struct, field

from croze.api import ops_pb2
from croze.digests import digest_of
from croze.image.platform import Platform, default_platform
from croze.llb import caps
from croze.llb.marshal import marshal_parts
from croze.llb.options import Constraints, Metadata
from croze.llb.sourcemap import SourceCollector, SourceLocation


class Defaults(Struct, frozen=True):
    """What marshalling fills in. `has_cap` None means that the daemon's abilities are unknown."""

    platform: Platform | None = None
    has_cap: Callable[[str], bool] | None = None
    unique_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    """Keeps local sources without a session apart between builds."""


class Tree(Protocol):
    """A file tree and a working directory in it, such as `llb.State`."""

    @property
    def output(self) -> Output | None:
        """The output that makes the tree; None for an empty one."""

    @property
    def cwd(self) -> str:
        """The working directory, absolute."""


class Edge(Struct, frozen=True, eq=False):
    """Output `index` of a vertex."""

    vertex: OpVertex
    index: int = 0

    def resolve(self) -> Edge | None:
        """The edge itself; see `Deferred.resolve`."""
        return self


class Deferred:
    """An output that is made when it is first needed: what it is depends on what others use of
    it."""

    def __init__(self, make: Callable[[], Output | None]) -> None:
        self._make = make
        self._made: Edge | None = None
        self._done = False

    def resolve(self) -> Edge | None:
        """The output, made at the first call; None for an empty filesystem."""
        if not self._done:
            output = self._make()
            self._made = output.resolve() if output is not None else None
            self._done = True
        return self._made


Output = Edge | Deferred
"""What a vertex makes, to be the input of others."""


class MarshalledOp(Struct, frozen=True):
    """An op as bytes, and what is said about it."""

    digest: str
    data: bytes
    metadata: Metadata | ops_pb2.OpMetadata
    locations: Sequence[SourceLocation]


class OpVertex(ABC):
    """One op to be. Identity is the object's; equal ops meet in their digest."""

    @abstractmethod
    def inputs(self) -> Sequence[Edge]:
        """The inputs, in the order in which they are to be marshalled; repeats are harmless."""

    @abstractmethod
    def marshal(self, marshaller: Marshaller) -> MarshalledOp:
        """Called once per marshalling, after all inputs."""


class Marshaller:
    """One walk over a graph."""

    def __init__(self, defaults: Defaults) -> None:
        self.defaults = defaults
        self._ops: dict[OpVertex, MarshalledOp] = {}

    def input(self, edge: Edge) -> ops_pb2.Input:
        """The wire form of an edge to a vertex that was walked already."""
        return ops_pb2.Input(digest=self._ops[edge.vertex].digest, index=edge.index)

    def walk(self, root: OpVertex) -> Iterator[MarshalledOp]:
        """All vertices below `root` and itself, inputs first. Does not recurse: graphs may be
        thousands of vertices deep."""
        stack = [(root, iter(root.inputs()))]
        while stack:
            vertex, inputs = stack[-1]
            for edge in inputs:
                if edge.vertex not in self._ops:
                    stack.append((edge.vertex, iter(edge.vertex.inputs())))
                    break
            else:
                stack.pop()
                if vertex not in self._ops:
                    op = self._ops[vertex] = vertex.marshal(self)
                    yield op

    def seal(
        self,
        body: ops_pb2.Op,
        constraints: Constraints,
        *,
        inputs: Sequence[ops_pb2.Input] = (),
        has_platform: bool = False,
    ) -> MarshalledOp:
        """The op with `body` as its kind, with constraints and defaults filled in."""
        head = ops_pb2.Op(inputs=inputs)
        head.constraints.filter.extend(constraints.worker_filters)
        if has_platform:
            chosen = constraints.platform or self.defaults.platform or default_platform()
            head.platform.CopyFrom(platform_message(chosen))
        data = marshal_parts(head, body)
        return MarshalledOp(digest_of(data), data, constraints.metadata, constraints.locations)


def define(output: Output | None, defaults: Defaults) -> ops_pb2.Definition:
    """The definition whose result is `output`; an empty one for scratch."""
    definition = ops_pb2.Definition()
    edge = output.resolve() if output is not None else None
    if edge is None:
        return definition
    blobs, seen, sources = getattr(definition, "def"), set[str](), SourceCollector()
    marshaller = Marshaller(defaults)
    for op in marshaller.walk(edge.vertex):
        _describe(definition, op)
        sources.add(op.digest, op.locations)
        if op.digest not in seen:
            seen.add(op.digest)
            blobs.append(op.data)
    _finish(definition, marshaller.input(edge))
    definition.Source.CopyFrom(sources.finish())
    return definition


def _describe(definition: ops_pb2.Definition, op: MarshalledOp) -> None:
    message = definition.metadata[op.digest]
    message.SetInParent()
    if isinstance(op.metadata, Metadata):
        op.metadata.fill(message)
    else:
        merge_metadata(message, op.metadata)


def merge_metadata(message: ops_pb2.OpMetadata, other: ops_pb2.OpMetadata) -> None:
    """Lay `other` over `message`: groups and limits are replaced, the rest is united."""
    if other.HasField("progress_group"):
        message.ClearField("progress_group")
    if other.HasField("linux_resources"):
        message.ClearField("linux_resources")
    message.MergeFrom(other)


def _finish(definition: ops_pb2.Definition, result: ops_pb2.Input) -> None:
    """Add the last op, which only points to the result, and the capabilities of the whole."""
    data = ops_pb2.Op(inputs=[result]).SerializeToString(deterministic=True)
    needed = {caps.CONSTRAINTS, caps.PLATFORM}
    for message in definition.metadata.values():
        if message.ignore_cache:
            needed.add(caps.META_IGNORE_CACHE)
        if message.description:
            needed.add(caps.META_DESCRIPTION)
        if message.HasField("export_cache"):
            needed.add(caps.META_EXPORT_CACHE)
    getattr(definition, "def").append(data)
    last = definition.metadata[digest_of(data)]
    last.caps.update(dict.fromkeys(sorted(needed), True))


def platform_message(platform: Platform) -> ops_pb2.Platform:
    """The wire form of a platform."""
    return ops_pb2.Platform(
        Architecture=platform.architecture,
        OS=platform.os,
        Variant=platform.variant,
        OSVersion=platform.os_version,
        OSFeatures=platform.os_features,
    )


def platform_value(message: ops_pb2.Platform) -> Platform:
    """The value of a wire platform."""
    return Platform(
        architecture=message.Architecture,
        os=message.OS,
        os_version=message.OSVersion,
        os_features=tuple(message.OSFeatures),
        variant=message.Variant,
    )
