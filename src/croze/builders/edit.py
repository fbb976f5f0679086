"""Changes to a builder: pure, old value in, new value out.

Source: docker/buildx `store/nodegroup.go` for the rules and the words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Struct

from croze.builders.model import BuilderInstance, BuilderNode, checked_name
from croze.errors import InvalidRequest
from croze.gotypes.quote import quote
from croze.image import platform as platforms
from croze.image.platform import Platform


class NodeChange(Struct, frozen=True):
    """What `create` says of a node. None (and no platforms) leaves a node's own as it is;
    `endpoint_given` tells a named endpoint from the default one."""

    name: str
    endpoint: str
    endpoint_given: bool
    platforms: tuple[Platform, ...] = ()
    flags: Sequence[str] | None = None
    driver_opts: Mapping[str, str] | None = None
    files: Mapping[str, bytes] | None = None


def changed(
    builder: BuilderInstance, change: NodeChange, *, append: bool
) -> tuple[BuilderInstance, bool]:
    """The builder with a node added or changed, and whether a running node needs a restart to see
    it. Raises `InvalidRequest`."""
    if builder.dynamic:
        raise InvalidRequest("dynamic node group does not support Update")
    there = builder.node(change.name)
    if there is not None:
        node = _updated(there, change)
        nodes = tuple(node if one.name == node.name else one for one in builder.members)
        restart = change.endpoint_given or any(
            value is not None for value in (change.flags, change.driver_opts, change.files)
        )
        return _settled(builder, nodes, node, change.endpoint), restart
    if builder.members and not append:
        raise InvalidRequest(f"node {change.name} not found, did you mean to append?")
    node = _new(builder, change)
    return _settled(builder, (*builder.members, node), node, change.endpoint), False


def left(builder: BuilderInstance, name: str) -> BuilderInstance:
    """The builder without a node. Raises `InvalidRequest`."""
    if builder.dynamic:
        raise InvalidRequest("dynamic node group does not support Leave")
    if builder.node(name) is None:
        raise InvalidRequest(f"node {quote(name)} not found for {builder.name}")
    if len(builder.members) == 1:
        raise InvalidRequest("can not leave last node, do you want to rm instance instead?")
    rest = tuple(node for node in builder.members if node.name != name)
    return msgspec.structs.replace(builder, nodes=rest)


def _new(builder: BuilderInstance, change: NodeChange) -> BuilderNode:
    return BuilderNode(
        name=checked_name(change.name or _next_name(builder)),
        endpoint=change.endpoint,
        platforms=change.platforms or None,
        driver_opts=None if change.driver_opts is None else dict(change.driver_opts),
        flags=None if change.flags is None else tuple(change.flags),
        files=None if change.files is None else dict(change.files),
    )


def _updated(node: BuilderNode, change: NodeChange) -> BuilderNode:
    files = node.files if change.files is None else {**(node.files or {}), **change.files}
    opts = node.driver_opts if change.driver_opts is None else dict(change.driver_opts)
    return BuilderNode(
        name=node.name,
        endpoint=change.endpoint if change.endpoint_given else node.endpoint,
        platforms=change.platforms or node.platforms,
        driver_opts=opts,
        flags=node.flags if change.flags is None else tuple(change.flags),
        files=files,
    )


def _next_name(builder: BuilderInstance) -> str:
    number = 0
    while builder.node(f"{builder.name}{number}") is not None:
        number += 1
    return f"{builder.name}{number}"


def _settled(
    builder: BuilderInstance, nodes: tuple[BuilderNode, ...], node: BuilderNode, endpoint: str
) -> BuilderInstance:
    """One node an endpoint, and each fixed platform on the node that named it last."""
    if sum(one.endpoint == endpoint for one in nodes) > 1:
        raise InvalidRequest(f"invalid duplicate endpoint {endpoint}")
    named = {platforms.format(one) for one in node.platforms or ()}

    def without_taken(one: BuilderNode) -> BuilderNode:
        if one.name == node.name:
            return one
        others_own = tuple(p for p in one.platforms or () if platforms.format(p) not in named)
        return msgspec.structs.replace(one, platforms=others_own)

    return msgspec.structs.replace(builder, nodes=tuple(map(without_taken, nodes)))
