"""What a driver is: it brings the daemon of one node into being, and dials it.

A driver is made for a node (`drivers.make.driver`) and holds no connection until it is asked to
dial. `boot`, `stop` and `remove` may be called in any state and any number of times; each leaves
the state that its name says. All raise `errors.CrozeError`; `status` raises only when not even the
place where the daemon would run can be asked.

    async with driver.dial() as client:
        await client.info()
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from croze.api import control_pb2
    from croze.builders.model import BuilderNode
    from croze.client.connect import Client
    from croze.drivers.tunnel import Streams

    Tell = Callable[[control_pb2.StatusResponse], None]


class NodeStatus(StrEnum):
    """How a node's daemon is, in buildx's words."""

    INACTIVE = "inactive"
    RUNNING = "running"
    STOPPED = "stopped"


def silent(_status: control_pb2.StatusResponse) -> None:
    """Does nothing: for `boot`, when nobody wants to see what it does."""


class Driver(Protocol):
    """The daemon of one node."""

    @property
    def default_load(self) -> bool:
        """Whether a build without output loads its image into the Docker engine."""

    async def status(self) -> NodeStatus:
        """How the daemon is; nothing is changed. One that can't be reached is `INACTIVE`."""

    async def dynamic_nodes(self) -> tuple[BuilderNode, ...]:
        """The nodes that stand behind this one just now, where others say how many there are: the
        running pods of a deployment, by name, with the platforms that they say. Else none."""

    async def version(self) -> str:
        """The version of a running daemon that is too old to say it over its own API (BuildKit
        before 0.11). Empty if there is no other way."""

    async def boot(self, tell: Tell = silent) -> None:
        """Bring it up if it isn't, and wait until it answers: 20 s at most, or as long as the
        driver's own options say. What it takes `tell` is told, as the status of a build."""

    async def stop(self) -> None:
        """End the daemon, keeping its state. Nothing happens to daemons that aren't ours."""

    async def remove(self, *, state: bool, daemon: bool) -> None:
        """Take away the daemon (if `daemon`) and what it stored (if `state`), as far as they are
        the driver's own."""

    def dial(self) -> AbstractAsyncContextManager[Client]:
        """A client of the daemon, which must be running."""

    def streams(self) -> AbstractAsyncContextManager[Streams]:
        """A fresh connection to the running daemon, over which HTTP/2 is spoken."""
