"""A marshalled definition → vertices that the solver can work on.

A definition comes from a client and may be anything: whatever is wrong with it is an
`InvalidRequest`. The cost is linear in the number of ops, and nothing recurses.
"""

from __future__ import annotations

import asyncio
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from functools import lru_cache
from typing import Final, TypeAlias, TypeVar

from google.protobuf.message import DecodeError
from msgspec import Struct, field

from croze.aio.parallel import first_error
from croze.api import ops_pb2
from croze.digests import digest_of
from croze.errors import CrozeError, InvalidRequest, Unsupported, VertexDetail
from croze.files.redact import redact_text
from croze.image.platform import Platform, default_platform, normalize
from croze.llb.graph import platform_value
from croze.llb.marshal import marshal_op
from croze.ops.limits import StepLimits, step_limits
from croze.ops.names import CUSTOM_NAME, op_name
from croze.ops.validate import SMALL_BYTES, check_size, validate
from croze.solver.contract import Edge, Vertex
from croze.status import ProgressGroup
from croze.store.contract import Sharing

T = TypeVar("T")

_ParsedOp: TypeAlias = tuple[ops_pb2.Op, str]
"""With its digest."""

SourcePolicy = Callable[[ops_pb2.Op], Awaitable[ops_pb2.SourceOp | None]]
"""What the source of an op is replaced with, None to leave it. Raises when it is refused."""


_TURN: Final = 500
"""Ops that are looked at before others get a turn."""
_LARGEST_KNOWN_BYTES: Final = 512
"""As in `file_keys`."""
_PROXIED = b"\0buildkit.proxy-network.v0"
"""What makes another step of one that is proxied: no two builds share it unless both want that."""
_STRICTNESS = (Sharing.SHARED, Sharing.PRIVATE, Sharing.LOCKED)


class LoadedOp(Struct, frozen=True, eq=False):
    """An op of a definition that was loaded: what `Vertex.op` is here, and what this package's ops
    are made from."""

    op: ops_pb2.Op
    data: bytes
    """The marshalled op, as errors carry it."""
    platform: Platform
    """Normalised; this machine's where the op has none."""
    proxied: bool = False
    """See `LoadOptions`; of an exec."""


class LoadOptions(Struct, frozen=True):
    """What a daemon takes of definitions. `caps` are those it has; None checks nothing. `check` may
    refuse an op (entitlements), and says what is run in its place: mostly the op itself."""

    caps: frozenset[str] | None = None
    check: Callable[[ops_pb2.Op], ops_pb2.Op] | None = None
    policy: SourcePolicy | None = None
    ignore_cache: bool = False
    """Ignore the cache for every vertex."""
    proxied: bool = False
    """Steps with a network have one with nothing but a proxy of the daemon's."""


class _Node(Struct, eq=False):
    op: ops_pb2.Op
    data: bytes
    digest: str
    metadata: ops_pb2.OpMetadata
    inputs: list[_Node] = field(default_factory=list)
    changed: bool = False
    proxied: bool = False


def uncached_digest(digest: str) -> str:
    """What a vertex that ignores the cache is shared under: never with one that uses it."""
    return digest_of(f"{digest}-ignorecache".encode())


async def load(definition: ops_pb2.Definition, options: LoadOptions | None = None) -> Edge:
    """The edge that the definition asks for: what its last op has as input. Raises what is wrong
    with it, and what a policy or a check says."""
    try:
        return await _load(definition, options or LoadOptions())
    except CrozeError as error:
        raise error.wrap("failed to load LLB") from None


async def _load(definition: ops_pb2.Definition, options: LoadOptions) -> Edge:
    is_changed = options.policy is not None or options.proxied
    nodes, last = await _parse(definition, _parsed if is_changed else _known)
    order = await _sort(nodes, last)
    if options.proxied:
        for node in order:
            node.proxied = _uses_network(node.op)
    if is_changed:
        await _apply_policy(order, options.policy)
    vertices = await _build(order, last, options)
    return Edge(vertices[last.inputs[0]], last.op.inputs[0].index)


async def _some(items: Iterable[T]) -> AsyncIterator[T]:
    """The items; others get a turn in between, as there may be millions."""
    for number, item in enumerate(items, 1):
        yield item
        if not number % _TURN:
            await asyncio.sleep(0)


async def _parse(
    definition: ops_pb2.Definition, parsed: Callable[[bytes], _ParsedOp]
) -> tuple[dict[str, _Node], _Node]:
    """All ops by digest, and the last one, which only points at the result."""
    if not getattr(definition, "def"):
        raise InvalidRequest("invalid empty definition")
    nodes: dict[str, _Node] = {}
    async for data in _some(getattr(definition, "def")):
        op, name = parsed(data) if len(data) <= _LARGEST_KNOWN_BYTES else _parsed(data)
        metadata = definition.metadata.get(name) or ops_pb2.OpMetadata()
        nodes[name] = last = _Node(op, data, name, metadata)
    async for node in _some(nodes.values()):
        _check_inputs(node, nodes)
    if len(nodes) < 2:
        raise InvalidRequest(f"invalid LLB with {len(nodes)} vertexes")
    if not last.op.inputs:
        raise InvalidRequest("invalid LLB with no inputs on last vertex")
    return nodes, last


def _check_inputs(node: _Node, nodes: Mapping[str, _Node]) -> None:
    for source in node.op.inputs:
        if source.digest not in nodes:
            raise InvalidRequest(f"invalid missing input digest {source.digest}")


def _parse_op(data: bytes) -> ops_pb2.Op:
    try:
        op = ops_pb2.Op.FromString(data)
    except DecodeError as error:
        raise InvalidRequest(f"failed to parse llb proto op: {error}") from error
    for i, source in enumerate(op.inputs):
        if source.index < 0:
            raise InvalidRequest(f"invalid input {i} output index {source.index}")
    return op


def _parsed(data: bytes) -> _ParsedOp:
    return _parse_op(data), digest_of(data)


_known = lru_cache(4096)(_parsed)
"""The last ones, most of which come again. Their ops are shared, and not to be changed."""


async def _sort(nodes: Mapping[str, _Node], last: _Node) -> list[_Node]:
    """What `last` needs, inputs first, without itself. Digests rule out loops, but for one made
    on purpose with a broken hash."""
    order: list[_Node] = []
    sorted_digests: set[str] = set()
    stack = [(last, iter(last.op.inputs))]
    open_digests = {last.digest}
    while stack:
        node, rest = stack[-1]
        source = next(rest, None)
        if source is None:
            stack.pop()
            open_digests.discard(node.digest)
            sorted_digests.add(node.digest)
            order.append(node)
            if not len(order) % _TURN:
                await asyncio.sleep(0)
            continue
        needed = nodes[source.digest]
        if needed.digest in open_digests:
            raise InvalidRequest(f"invalid loop through {source.digest}")
        node.inputs.append(needed)
        if needed.digest not in sorted_digests:
            stack.append((needed, iter(needed.op.inputs)))
            open_digests.add(needed.digest)
    return order[:-1]


def _uses_network(op: ops_pb2.Op) -> bool:
    return op.WhichOneof("op") == "exec" and op.exec.network != ops_pb2.NONE


async def _apply_policy(order: Iterable[_Node], policy: SourcePolicy | None) -> None:
    """Let the policy replace sources; what stands on a replaced one gets a new digest, as does a
    step whose network is another."""
    order = list(order)
    sources = [n for n in order if n.op.WhichOneof("op") == "source"]
    decided = await _decide(sources, policy) if policy is not None else {}
    for node in order:
        replaced = decided.get(node.digest)
        if replaced is not None and replaced != node.op.source:
            node.op.source.CopyFrom(replaced)
            node.changed = True
        for source, needed in zip(node.op.inputs, node.inputs, strict=True):
            if needed.changed:
                source.digest = needed.digest
                node.changed = True
        if node.changed:
            node.data = marshal_op(node.op)
            node.digest = digest_of(node.data)
        if node.proxied:
            node.digest = digest_of(node.data + _PROXIED)
            node.changed = True


async def _decide(
    nodes: Iterable[_Node], policy: SourcePolicy
) -> Mapping[str, ops_pb2.SourceOp | None]:
    """What becomes of sources, by digest. All are asked about at once, as a client may take its
    time over each."""
    decided: dict[str, ops_pb2.SourceOp | None] = {}

    async def ask(node: _Node) -> None:
        decided[node.digest] = await policy(node.op)

    async with first_error(), asyncio.TaskGroup() as tasks:
        for node in nodes:
            tasks.create_task(ask(node))
    return decided


async def _build(order: Sequence[_Node], last: _Node, options: LoadOptions) -> dict[_Node, Vertex]:
    vertices: dict[_Node, Vertex] = {}
    default = normalize(default_platform())
    async for node in _some(_outside_in(last)):
        try:
            _check(node, options)
        except CrozeError as err:
            raise err.with_detail(VertexDetail(node.digest)) from None
    async for node in _some(order):
        vertices[node] = _vertex(node, vertices, default, options)
    return vertices


def _outside_in(last: _Node) -> Iterator[_Node]:
    """Each node that `last` needs, before what it needs itself: so the original looks at them, and
    tells what is wrong with the first."""
    waiting = list(reversed(last.inputs))
    seen: set[_Node] = set()
    while waiting:
        node = waiting.pop()
        if node not in seen:
            seen.add(node)
            yield node
            waiting += reversed(node.inputs)


def _check(node: _Node, options: LoadOptions) -> None:
    if len(node.data) > SMALL_BYTES:
        check_size(node.op)
    validate(node.op)
    _check_caps(node.metadata, options.caps)
    if options.check is not None:
        node.op = options.check(node.op)


def _check_caps(metadata: ops_pb2.OpMetadata, caps: frozenset[str] | None) -> None:
    if caps is None:
        return
    for name in metadata.caps:
        if name not in caps:
            raise Unsupported(f"unknown API capability {name}")


def _vertex(
    node: _Node, vertices: Mapping[_Node, Vertex], default: Platform, options: LoadOptions
) -> Vertex:
    metadata = node.metadata
    inputs = tuple(
        Edge(vertices[needed], source.index)
        for source, needed in zip(node.op.inputs, node.inputs, strict=True)
    )
    description = dict(metadata.description)
    name = description.get(CUSTOM_NAME)
    if name is None:
        name = op_name(node.op, [e.vertex.name for e in inputs])
    ignore = metadata.ignore_cache or options.ignore_cache
    return Vertex(
        digest=uncached_digest(node.digest) if ignore else node.digest,
        llb_digest=node.digest if ignore else "",
        op=_loaded(node, default),
        inputs=inputs,
        name=redact_text(name),
        ignore_cache=ignore,
        export_cache=metadata.export_cache.Value if metadata.HasField("export_cache") else None,
        description=description,
        progress_group=_group(metadata),
        limits=_limits(node),
    )


def _loaded(node: _Node, default: Platform) -> LoadedOp:
    return LoadedOp(
        op=node.op,
        data=node.data,
        platform=_platform(node.op, default),
        proxied=node.proxied,
    )


def _limits(node: _Node) -> StepLimits | None:
    limited = node.op.WhichOneof("op") == "exec" and node.metadata.HasField("linux_resources")
    return step_limits(node.metadata.linux_resources) if limited else None


def _platform(op: ops_pb2.Op, default: Platform) -> Platform:
    return normalize(platform_value(op.platform)) if op.HasField("platform") else default


def _group(metadata: ops_pb2.OpMetadata) -> ProgressGroup | None:
    if not metadata.HasField("progress_group"):
        return None
    group = metadata.progress_group
    return ProgressGroup(group.id, group.name, group.weak)


def cache_mounts(definitions: Iterable[ops_pb2.Definition]) -> dict[str, Sharing]:
    """Ids of the cache mounts of all steps, and the strictest way in which they are shared."""
    mounts: dict[str, Sharing] = {}
    for definition in definitions:
        for data in getattr(definition, "def"):
            for mount in _parse_op(data).exec.mounts:
                if mount.mountType == ops_pb2.CACHE:
                    id, sharing = mount.cacheOpt.ID, Sharing(mount.cacheOpt.sharing)
                    mounts[id] = max(sharing, mounts.get(id, sharing), key=_STRICTNESS.index)
    return mounts


def fresh_cache_mounts(definition: ops_pb2.Definition) -> frozenset[str]:
    """Ids of the cache mounts of steps that ignore the cache: those steps want them empty. Raises
    `InvalidRequest` for what is no definition."""
    if not any(metadata.ignore_cache for metadata in definition.metadata.values()):
        return frozenset()
    ids: set[str] = set()
    for data in getattr(definition, "def"):
        name = digest_of(data)
        if name in definition.metadata and definition.metadata[name].ignore_cache:
            mounts = _parse_op(data).exec.mounts
            ids |= {m.cacheOpt.ID for m in mounts if m.mountType == ops_pb2.CACHE}
    return frozenset(ids)
