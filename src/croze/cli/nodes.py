"""All nodes of the builder that a command works with, each dialled when it is needed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from croze.builders.choose import OWN
from croze.cli.daemon import dialler, is_address
from croze.files.docker_config import buildx_dir

if TYPE_CHECKING:
    from croze.builders.localstate import LocalState
    from croze.cli.common import Common
    from croze.client.connect import Client, Dial


@dataclass(frozen=True)
class Node:
    """A connected node; its names are those under which builds are remembered."""

    builder: str
    name: str
    client: Client

    def full_ref(self, ref: str) -> str:
        return f"{self.builder}/{self.name}/{ref}"

    def local_state(self, ref: str) -> LocalState | None:
        """What this machine remembers of a build."""
        from croze.builders.localstate import read

        return read(buildx_dir(), self.builder, self.name, ref)


@asynccontextmanager
async def connected(common: Common) -> AsyncIterator[list[Node]]:
    """Every node, booted and connected; raises `CrozeError` for one that can't be."""
    async with AsyncExitStack() as stack:
        nodes = []
        for builder, name, dial in names_and_dials(common):
            nodes.append(Node(builder, name, await stack.enter_async_context(dial())))
        yield nodes


def names_and_dials(common: Common) -> list[tuple[str, str, Dial]]:
    from croze.cli.builder import known
    from croze.cli.daemon import booted
    from croze.drivers import make

    if is_address(common.builder) or not (buildx_dir() / "instances").exists():
        return [(OWN, OWN, dialler(common))]
    with known() as here:
        builder = here.builder(common.builder)
    if builder.driver == OWN:
        return [(OWN, OWN, dialler(common))]
    return [
        (builder.name, node.name, booted(make.driver(builder, node, here.contexts)))
        for node in builder.members
    ]
