"""`docker`: the builder inside the Docker engine of a context, behind the engine's own socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from croze.builders.contexts import DockerContext
from croze.builders.model import BuilderNode
from croze.drivers.contract import NodeStatus, silent
from croze.drivers.docker_versions import buildkit_of
from croze.drivers.engine import UpgradeRefused, engine_streams, upgraded
from croze.drivers.engine_api import engine_api
from croze.drivers.tunnel import Streams, carried_client
from croze.errors import CrozeError, InvalidRequest

if TYPE_CHECKING:
    from croze.client.connect import Client
    from croze.drivers.contract import Tell


class DockerDriver:
    """See `Driver`. Raises `InvalidRequest` for a node that asks for more than an engine has."""

    def __init__(self, node: BuilderNode, context: DockerContext) -> None:
        if node.files:
            raise InvalidRequest(
                "setting config file is not supported for docker driver, use dockerd "
                "configuration file"
            )
        if node.driver_opts:
            option = next(iter(node.driver_opts))
            raise InvalidRequest(f"invalid driver option {option} for docker driver")
        self._context = context

    @property
    def default_load(self) -> bool:
        return True

    async def status(self) -> NodeStatus:
        async with engine_streams(self._context):
            return NodeStatus.RUNNING

    async def dynamic_nodes(self) -> tuple[BuilderNode, ...]:
        return ()

    async def version(self) -> str:
        async with engine_api(self._context) as engine:
            return buildkit_of(await engine.version())

    async def boot(self, tell: Tell = silent) -> None:
        await self.status()

    async def stop(self) -> None:
        """Do nothing: the engine's builder has no life of its own."""

    async def remove(self, *, state: bool, daemon: bool) -> None:
        """Do nothing: the engine's builder has no life of its own."""

    @asynccontextmanager
    async def dial(self) -> AsyncIterator[Client]:
        async with carried_client(self.streams) as client:
            yield client

    @asynccontextmanager
    async def streams(self) -> AsyncIterator[Streams]:
        try:
            async with upgraded(self._context, "/grpc", "h2c") as opened:
                yield opened
        except UpgradeRefused as error:
            raise CrozeError(
                f"the Docker daemon at {self._context.host} does not serve builds at /grpc: "
                f"{error.status} {error}"
            ) from None
