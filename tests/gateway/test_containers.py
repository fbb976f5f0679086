"""Containers that a frontend opens: what is refused, and when."""

from __future__ import annotations

from pathlib import Path

import pytest

from croze.api import gateway_pb2, ops_pb2
from croze.errors import PermissionDenied
from croze.gateway.containers import GatewayContainers
from croze.runtime.contract import Stdio
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
