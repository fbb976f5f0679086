"""`croze`: the user's own `crozed`, started on demand and gone when idle."""

from __future__ import annotations

import asyncio
import contextlib
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
from croze.errors import PermissionDenied, Unsupported
from croze.files.peers import is_own_or_roots, peer_of

if TYPE_CHECKING:
    from croze.builders.model import BuilderNode
    from croze.client.connect import Client
    from croze.drivers.contract import Tell


_HEED_S = 10.0
"""How long the daemon may take to notice that it is to end."""


class OwnDriver:
    """See `Driver`."""

    @property
    def default_load(self) -> bool:
        return True

    async def status(self) -> NodeStatus:
        return NodeStatus.RUNNING if local.running_daemon() else NodeStatus.INACTIVE

    async def dynamic_nodes(self) -> tuple[BuilderNode, ...]:
        return ()

    async def version(self) -> str:
        return ""

    async def boot(self, tell: Tell = silent) -> None:
        local.ensure_daemon()

    async def stop(self) -> None:
        """Have the daemon end: afterwards it takes no new builds, and leaves with the last of those
        that run; asked again, it ends these. Raises `Unsupported` for one that has not the user's
        own state, and `PermissionDenied` for one that is root's."""
        address = local.own_daemon()
        pid = _listener(address.removeprefix("unix://")) if address else local.leaving_daemon()
        if not pid and (other := local.running_daemon()):
            raise Unsupported(
                f"the daemon at {other} is not one that croze starts: end it as it was started"
            )
        if not pid:
            return
        try:
            os.kill(pid, signal.SIGTERM)
        except PermissionError:
            message = f"the daemon that has {places.state_dir()} is another user's (process {pid})"
            raise PermissionDenied(message) from None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_HEED_S):
                while address and _listener(address.removeprefix("unix://")) == pid:
                    await asyncio.sleep(local.LOOK_EVERY_S)

    async def remove(self, *, state: bool, daemon: bool) -> None:
        """The user's own builder stays: it is there for everybody, always."""

    @asynccontextmanager
    async def dial(self) -> AsyncIterator[Client]:
        from croze.client.connect import connect

        async with connect(_address()) as client:
            yield client

    @asynccontextmanager
    async def streams(self) -> AsyncIterator[Streams]:
        async with socket_streams(_address()) as opened:
            yield opened


def _address() -> str:
    """Where the daemon listens, or would."""
    return local.running_daemon() or f"unix://{places.daemon_socket()}"


def _listener(path: str) -> int:
    """The process that listens at a socket, if it is this user's or root's; else 0."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        if probe.connect_ex(path) != 0 or not is_own_or_roots(probe):
            return 0
        return peer_of(probe).pid
