"""`docker`: the builder inside the Docker engine of a context, behind the engine's own socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from croze.builders.contexts import DockerContext
from croze.builders.model import Node
from croze.drivers.contract import Status
from croze.drivers.engine import engine_streams, upgraded
from croze.drivers.tunnel import Streams, tunnel
from croze.errors import InvalidRequest, Unavailable

if TYPE_CHECKING:
    from croze.client.connect import Client


class DockerDriver:
    """See `Driver`. Raises `InvalidRequest` for a node that asks for more than an engine has."""

    def __init__(self, node: Node, context: DockerContext) -> None:
        if node.files:
            raise InvalidRequest(
                "setting config file is not supported for docker driver, use dockerd "
                "configuration file"
            )
        if node.driver_opts:
            option = next(iter(node.driver_opts))
            raise InvalidRequest(f"invalid driver option {option} for docker driver")
        self._context = context

    async def status(self) -> Status:
        async with engine_streams(self._context):
            return Status.RUNNING

    async def boot(self) -> None:
        await self.status()

    async def stop(self) -> None:
        """The engine's builder has no life of its own."""

    async def remove(self, *, state: bool, daemon: bool) -> None:
        """The engine's builder has no life of its own."""

    @asynccontextmanager
    async def dial(self) -> AsyncIterator[Client]:
        from croze.client.connect import connect

        async with tunnel(self.streams) as opened:
            try:
                async with connect(opened.address) as client:
                    yield client
            except Unavailable as error:
                raise (opened.error or error) from None

    @asynccontextmanager
    async def streams(self) -> AsyncIterator[Streams]:
        async with upgraded(self._context, "/grpc", "h2c") as opened:
            yield opened
