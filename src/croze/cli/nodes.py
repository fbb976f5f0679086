"""All nodes of the builder that a command works with, each dialled when it is needed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from msgspec import Struct

from croze.cli.daemon import reaches
from croze.files.docker_config import buildx_dir

if TYPE_CHECKING:
    from croze.builders.localstate import LocalState
    from croze.cli.common import Common
    from croze.client.connect import Client
    from croze.image.platform import Platform


class ConnectedNode(Struct, frozen=True):
    """A node that is connected; its names are those under which builds are remembered."""

    builder: str
    name: str
    client: Client

    fixed: tuple[Platform, ...] = ()
    """The platforms that the user gave it."""

    def full_ref(self, ref: str) -> str:
        return f"{self.builder}/{self.name}/{ref}"

    def local_state(self, ref: str) -> LocalState | None:
        """What this machine remembers of a build."""
        from croze.builders.localstate import read

        return read(buildx_dir(), self.builder, self.name, ref)


@asynccontextmanager
async def connected(common: Common) -> AsyncIterator[list[ConnectedNode]]:
    """Every node, booted and connected; raises `CrozeError` for one that can't be."""
    async with AsyncExitStack() as stack:
        nodes = []
        for there in reaches(common, builds=False):
            client = await stack.enter_async_context(there.once())
            nodes.append(ConnectedNode(there.builder, there.node, client, there.fixed))
        yield nodes
