"""`croze`: the user's own `crozed`, started on demand and gone when idle."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from croze.drivers import local, places
from croze.drivers.contract import NodeStatus, silent
from croze.drivers.sockets import socket_streams
from croze.drivers.tunnel import Streams
from croze.files.peers import is_own_or_roots, peer_of

if TYPE_CHECKING:
    from croze.builders.model import BuilderNode
    from croze.client.connect import Client
    from croze.drivers.contract import Tell


class OwnDriver:
    """See `Driver`."""

    @property
    def default_load(self) -> bool:
        return True

    async def status(self) -> NodeStatus:
        return NodeStatus.RUNNING if local.answers(places.daemon_socket()) else NodeStatus.INACTIVE

    async def dynamic_nodes(self) -> tuple[BuilderNode, ...]:
        return ()

    async def version(self) -> str:
        return ""

    async def boot(self, tell: Tell = silent) -> None:
        local.ensure_daemon()

    async def stop(self) -> None:
        """Ask the daemon to end: builds that run are cancelled, state is kept."""
        if pid := _listener(places.daemon_socket()):
            os.kill(pid, signal.SIGTERM)

    async def remove(self, *, state: bool, daemon: bool) -> None:
        """The user's own builder stays: it is there for everybody, always."""

    @asynccontextmanager
    async def dial(self) -> AsyncIterator[Client]:
        from croze.client.connect import connect

        async with connect(f"unix://{places.daemon_socket()}") as client:
            yield client

    @asynccontextmanager
    async def streams(self) -> AsyncIterator[Streams]:
        async with socket_streams(f"unix://{places.daemon_socket()}") as opened:
            yield opened


def _listener(path: str) -> int:
    """The process that listens at a socket, if it is this user's or root's; else 0."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        if probe.connect_ex(path) != 0 or not is_own_or_roots(probe):
            return 0
        return peer_of(probe).pid
