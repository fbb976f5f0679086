"""What is known of a builder's nodes when they are asked: `ls`, `inspect`, and which one builds."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from croze.builders.contexts import Contexts
from croze.builders.model import Builder, Node
from croze.drivers.contract import Driver, Status
from croze.drivers.make import driver
from croze.errors import CrozeError, Unsupported
from croze.image.platform import Platform

if TYPE_CHECKING:
    from croze.api import worker_pb2


@dataclass
class NodeState:
    """A node, its driver, and what its daemon said. `error` is why it said nothing."""

    node: Node
    driver: Driver | None = None
    status: Status | None = None
    error: str = ""
    version: str = ""
    workers: Sequence[worker_pb2.WorkerRecord] = field(default_factory=tuple)

    @property
    def fixed_platforms(self) -> tuple[Platform, ...]:
        return self.node.platforms or ()

    @property
    def detected_platforms(self) -> tuple[Platform, ...]:
        return tuple(
            Platform(p.Architecture, p.OS, p.OSVersion, tuple(p.OSFeatures), p.Variant)
            for worker in self.workers
            for p in worker.platforms
        )


async def load(builder: Builder, contexts: Contexts, timeout_s: float) -> list[NodeState]:
    """All nodes of a builder, asked at once. Never raises: what goes wrong is in the states."""
    return list(
        await asyncio.gather(
            *(_load(builder, node, contexts, timeout_s) for node in builder.members)
        )
    )


async def _load(builder: Builder, node: Node, contexts: Contexts, timeout_s: float) -> NodeState:
    state = NodeState(node)
    try:
        async with asyncio.timeout(timeout_s or None):
            state.driver = driver(builder, node, contexts)
            state.status = await state.driver.status()
            if state.status is Status.RUNNING:
                await _ask(state, state.driver)
    except TimeoutError:
        state.error = "context deadline exceeded"
    except CrozeError as error:
        state.error = str(error)
    return state


async def _ask(state: NodeState, its_driver: Driver) -> None:
    async with its_driver.dial() as client:
        state.workers = await client.workers()
        with contextlib.suppress(Unsupported):  # of a daemon before BuildKit 0.11
            state.version = (await client.info()).version
