"""The nodes of one builder at work together: booted and dialled when they are needed, asked what
they can build, and given their shares."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import TYPE_CHECKING

from msgspec import Struct

from croze.aio.parallel import all_of
from croze.builders import multinode
from croze.builders.multinode import NodeShare
from croze.errors import Unsupported
from croze.image import platform as platforms
from croze.image.platform import Platform

if TYPE_CHECKING:
    from croze.client.connect import Client, Dial

Wanted = Mapping[str, Sequence[Platform]]
"""The platforms of each target."""


class NodeOffer(Struct, frozen=True):
    """A node that may build. `fixed` are the platforms that the user gave it."""

    dial: Dial
    fixed: tuple[Platform, ...] = ()
    boot: Callable[[], Awaitable[None]] | None = None
    """To be called first, if there is something to be called."""


class Nodes:
    """The nodes of a builder, connected when they are needed. An async context manager; connections
    end with it. All raise `errors.CrozeError`."""

    def __init__(self, offers: Sequence[NodeOffer], choice: str = multinode.FIRST) -> None:
        self._offers = offers
        self._choice = choice
        self._clients: dict[int, Client] = {}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Nodes:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        return await self._stack.__aexit__(kind, error, trace)

    async def clients(self, nodes: Collection[int]) -> dict[int, Client]:
        """Clients of these nodes, booted at once. To be called by the task that entered."""
        missing = [node for node in dict.fromkeys(nodes) if node not in self._clients]
        boots = (self._offers[node].boot for node in missing)
        await all_of(boot() for boot in boots if boot is not None)
        for node in missing:
            self._clients[node] = await self._stack.enter_async_context(self._offers[node].dial())
        return {node: self._clients[node] for node in nodes}

    async def shares(
        self, platforms_of: Wanted, together: Sequence[Collection[str]] = ()
    ) -> dict[str, list[NodeShare]]:
        """What is built where, by target. Targets `together` weigh on nodes as one, so that those
        which are built on one another come to the same nodes."""
        least_loaded = self._choice == multinode.LEAST_LOADED
        chosen = None if least_loaded else self._by_fixed(platforms_of)
        if chosen is not None:
            return chosen
        clients = await self.clients(range(len(self._offers)))
        offered = await all_of(self._offered(node, clients[node]) for node in clients)
        if not least_loaded:
            return {name: multinode.by_all(offered, its) for name, its in platforms_of.items()}
        loads = await all_of(running_builds(clients[node]) for node in clients)
        return _weighed(offered, platforms_of, together, loads)

    def _by_fixed(self, platforms_of: Wanted) -> dict[str, list[NodeShare]] | None:
        fixed = [offer.fixed for offer in self._offers]
        chosen = {name: multinode.by_fixed(fixed, its) for name, its in platforms_of.items()}
        shares_of = {name: shares for name, shares in chosen.items() if shares is not None}
        return shares_of if len(shares_of) == len(chosen) else None

    async def _offered(self, node: int, client: Client) -> list[Platform]:
        from croze.client.planning.platforms import worker_platforms

        offered = {
            platforms.format_all(platform): platform
            for worker in await client.workers()
            for platform in map(platforms.normalize, worker_platforms(worker))
        }
        return [*self._offers[node].fixed, *offered.values()]


async def running_builds(client: Client) -> int:
    """How many builds a daemon is at; 0 from one that keeps no records."""
    from croze.api import control_pb2

    request = control_pb2.BuildHistoryRequest(ActiveOnly=True, EarlyExit=True)
    try:
        return len([event async for event in client.history(request)])
    except Unsupported:
        return 0


def _weighed(
    offered: multinode.Offered,
    platforms_of: Wanted,
    together: Sequence[Collection[str]],
    loads: Sequence[int],
) -> dict[str, list[NodeShare]]:
    """Each group of targets goes to the idlest nodes, and counts as a build of theirs then."""
    now = list(loads)
    grouped = {name for group in together for name in group}
    groups = [*together, *([name] for name in platforms_of if name not in grouped)]
    by_node: dict[str, list[NodeShare]] = {}
    for group in groups:
        shares = {name: multinode.by_all(offered, platforms_of[name], now) for name in group}
        for node in {share.node for parts in shares.values() for share in parts}:
            now[node] += 1
        by_node.update(shares)
    return by_node
