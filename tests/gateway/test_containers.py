"""Containers that a frontend opens: what is refused, and when."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from croze.api import gateway_pb2, ops_pb2
from croze.errors import AlreadyExists, NotFound, PermissionDenied
from croze.gateway.containers import GatewayContainers
from croze.runtime.contract import Container, ContainerSpec, Executor, Process, Stdio
from croze.session.manager import Sessions
from tests.ops.conftest import own_mounts as own_mounts
from tests.ops.world import make_world


def check(network: ops_pb2.NetMode.ValueType, security: ops_pb2.SecurityMode.ValueType) -> None:
    if network == ops_pb2.HOST:
        raise PermissionDenied("network.host is not allowed")


@pytest.mark.usefixtures("own_mounts")
async def test_what_is_not_allowed_may_be_prepared_but_not_run(tmp_path: Path) -> None:
    """As BuildKit has it: who opens a container that it may not use can still read its files."""
    request = gateway_pb2.NewContainerRequest(
        ContainerID="c", Network=ops_pb2.HOST, Mounts=[ops_pb2.Mount(dest="/")]
    )

    said: list[bytes] = []

    async def find(id: str) -> None: ...

    async with make_world(tmp_path, {}, Sessions()) as world:
        containers = GatewayContainers(world.services, list, check)
        await containers.new(request, find)
        stdio = Stdio(said.append, said.append)
        with pytest.raises(PermissionDenied, match=r"network\.host is not allowed"):
            await containers.start(gateway_pb2.InitMessage(ContainerID="c"), stdio)
        await containers.close()


class ShortContainer(Container):
    """Its process has ended already."""

    @property
    def root(self) -> Path:
        raise NotImplementedError

    async def wait(self) -> int:
        return 0

    async def executed(self) -> int:
        return 0

    async def kill(self, signal: int) -> None: ...

    async def exec(
        self,
        process: Process,
        stdio: Stdio,
        *,
        on_start: Callable[[int], None] | None = None,
    ) -> int:
        raise NotImplementedError


class ShortExecutor(Executor):
    async def run(
        self, spec: ContainerSpec, process: Process, stdio: Stdio, *, id: str = ""
    ) -> int:
        return 0

    @asynccontextmanager
    async def start(
        self, spec: ContainerSpec, process: Process, stdio: Stdio, *, id: str = ""
    ) -> AsyncIterator[Container]:
        yield ShortContainer()


@pytest.mark.usefixtures("own_mounts")
async def test_a_container_ends_with_its_main_process(tmp_path: Path) -> None:
    request = gateway_pb2.NewContainerRequest(ContainerID="c", Mounts=[ops_pb2.Mount(dest="/")])
    said: list[bytes] = []
    init = gateway_pb2.InitMessage(ContainerID="c", Meta=ops_pb2.Meta(args=["x"]))

    async def find(id: str) -> None: ...

    async with make_world(tmp_path, {}, Sessions()) as world:
        services = replace(world.services, executor=ShortExecutor())
        containers = GatewayContainers(services, list, lambda network, security: None)
        await containers.new(request, find)
        with pytest.raises(AlreadyExists, match="AlreadyExists desc = Container c already exists"):
            await containers.new(request, find)
        stdio = Stdio(said.append, said.append)
        assert await (await containers.start(init, stdio))() == 0
        with pytest.raises(NotFound, match=r"^container c not found$"):
            await containers.start(init, stdio)
        await containers.close()
