"""What is known of a builder's nodes when they are asked: `ls`, `inspect`, and which one builds."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import replace

from croze.builders.contexts import Contexts
from croze.builders.model import BuilderInstance, BuilderNode
from croze.client.planning.platforms import worker_platforms
from croze.drivers.contract import Driver, NodeStatus
from croze.drivers.make import driver, is_known
from croze.errors import CrozeError, Unsupported
from croze.image.platform import Platform

if TYPE_CHECKING:
    from croze.api import worker_pb2


class NodeState(Struct):
    """A node, its driver, and what its daemon said. `error` is why it said nothing."""

    node: BuilderNode
    driver: Driver | None = None
    status: NodeStatus | None = None
    error: str = ""
    version: str = ""
    workers: Sequence[worker_pb2.WorkerRecord] = field(default_factory=tuple)
    dynamic: Sequence[BuilderNode] = ()
    """The nodes that stand behind the node just now."""
    pod_platforms: Sequence[Platform] = ()
    """What one of those says of itself, in place of what its daemon said."""

    @property
    def fixed_platforms(self) -> tuple[Platform, ...]:
        return self.node.platforms or ()

    @property
    def detected_platforms(self) -> tuple[Platform, ...]:
        if self.pod_platforms:
            return tuple(self.pod_platforms)
        return tuple(each for worker in self.workers for each in worker_platforms(worker))


async def load(builder: BuilderInstance, contexts: Contexts, timeout_s: float) -> list[NodeState]:
    """All nodes of a builder, asked at once. Never raises: what goes wrong is in the states. Where
    each has others behind it, there is a state for each of those, as buildx lists them."""
    states = await asyncio.gather(
        *(_load(builder, node, contexts, timeout_s) for node in builder.members)
    )
    if not is_dynamic(states):
        return list(states)
    return [
        replace(state, pod_platforms=pod.platforms or ())
        for state in states
        for pod in state.dynamic
    ]


def builder_error(builder: BuilderInstance, states: Sequence[NodeState]) -> str:
    """What is wrong with a builder as a whole, as buildx has it: nobody has its driver, or the
    engine that it is in does not answer. Empty if nothing is; else its nodes are not looked at."""
    is_whole = builder.driver == "docker" or not is_known(builder.driver)
    return next((state.error for state in states if state.error), "") if is_whole else ""


def is_dynamic(states: Sequence[NodeState]) -> bool:
    """Whether the nodes of a builder come and go, as pods do."""
    return bool(states) and all(state.dynamic for state in states)


async def _load(
    builder: BuilderInstance, node: BuilderNode, contexts: Contexts, timeout_s: float
) -> NodeState:
    state = NodeState(node)
    try:
        async with asyncio.timeout(timeout_s or None):
            state.driver = driver(builder, node, contexts)
            state.status = await state.driver.status()
            if state.status is NodeStatus.RUNNING:
                state.dynamic = await state.driver.dynamic_nodes()
                await _ask(state, state.driver)
    except TimeoutError:
        if state.status is None and builder.driver == "remote":
            state.status = NodeStatus.INACTIVE
        else:
            state.error = "context deadline exceeded"
    except CrozeError as error:
        state.error = str(error)
    return state


async def _ask(state: NodeState, its_driver: Driver) -> None:
    async with its_driver.dial() as client:
        state.workers = await client.workers()
        try:
            state.version = (await client.info()).version
        except Unsupported:  # of a daemon before BuildKit 0.11
            state.version = await its_driver.version()
