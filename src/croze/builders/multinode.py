"""Which nodes of a builder build which platforms. Pure: what daemons can do is handed in.

Source: docker/buildx `build/resolver/driver.go`. Platforms that users fixed for nodes count alone
as long as they hold all that is wanted, exactly; else what the daemons offer counts as well, and
what runs on it (`linux/386` on `linux/amd64`). What nobody has, the first node is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct

from croze.errors import InvalidRequest
from croze.image import platform as platforms
from croze.image.platform import Matcher, Platform

LEAST_LOADED = "least-loaded"
FIRST = "first"
CHOICES = (FIRST, LEAST_LOADED)

Offered = Sequence[Sequence[Platform]]
"""The platforms of each node."""


class NodeShare(Struct, frozen=True):
    """What one node builds; no platforms stand for the node's own."""

    node: int
    platforms: tuple[Platform, ...]


def parse_choice(text: str) -> str:
    """How to choose among nodes that are equally good: the first, or the one with the fewest
    running builds. Raises `InvalidRequest`."""
    if text and text not in CHOICES:
        raise InvalidRequest(f"invalid choice of nodes {text}: use {' or '.join(CHOICES)}")
    return text or FIRST


def by_fixed(fixed: Offered, platforms_wanted: Sequence[Platform]) -> list[NodeShare] | None:
    """What each node builds by the platforms that users fixed; None when some platform is nobody's:
    the daemons have to be asked."""
    best = [_best(fixed, platform, platforms.only_strict) for platform in platforms_wanted]
    nodes = [node for node in best if node is not None]
    return None if len(nodes) < len(best) else _shares(nodes or [0], platforms_wanted)


def by_all(
    offered: Offered, platforms_wanted: Sequence[Platform], loads: Sequence[int] | None = None
) -> list[NodeShare]:
    """What each node builds by all that the daemons offer. With `loads`, of nodes that are equally
    good the one with the smallest."""
    nodes = [_of_all(offered, platform, loads) for platform in platforms_wanted]
    if not nodes and loads is not None:
        nodes = [_idlest(_same_kind(offered), loads)]
    return _shares(nodes or [0], platforms_wanted)


def _of_all(offered: Offered, platform: Platform, loads: Sequence[int] | None) -> int:
    best = _best(offered, platform, platforms.only)
    if best is None or loads is None:
        return best or 0
    ranks = [_rank(of_node, platform) for of_node in offered]
    return _idlest([i for i, rank in enumerate(ranks) if rank == ranks[best]], loads)


def _best(offered: Offered, target: Platform, matcher: Callable[[Platform], Matcher]) -> int | None:
    best: int | None = None
    its_platform = target
    for node, of_node in enumerate(offered):
        for platform in of_node:
            runs = matcher(platform)
            if not runs.match(target):
                continue
            if best is None or runs.rank(target) < runs.rank(its_platform):
                best, its_platform = node, platform
    return best


def _rank(of_node: Sequence[Platform], target: Platform) -> int | None:
    """How far from exactly it is what a node offers at best; None if it doesn't run there."""
    matchers = (platforms.only(platform) for platform in of_node)
    ranks = [runs.rank(target) for runs in matchers if runs.match(target)]
    return min(ranks, default=None)


def _same_kind(offered: Offered) -> list[int]:
    """The nodes whose own platform, the first that they offer, is that of the first node."""
    own = [of_node[0] if of_node else None for of_node in offered]
    return [i for i, platform in enumerate(own) if platform == own[0]]


def _idlest(nodes: Sequence[int], loads: Sequence[int]) -> int:
    return min(nodes, key=lambda node: (loads[node], node))


def _shares(nodes: Sequence[int], platforms_wanted: Sequence[Platform]) -> list[NodeShare]:
    """The shares, in the order in which nodes are first needed."""
    parts: dict[int, list[Platform]] = {node: [] for node in nodes}
    for node, platform in zip(nodes, platforms_wanted, strict=False):
        parts[node].append(platform)
    return [NodeShare(node, tuple(part)) for node, part in parts.items()]
