"""A gRPC server and a channel to it inside the daemon, for parts of it that are its clients."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from croze.aio.streams import listening, on_sockets, serving
from croze.errors import InvalidRequest, os_message
from croze.rpc.channel import Channel
from croze.rpc.server import Server

_CONNECTIONS = 16


@asynccontextmanager
async def own_channel(server: Server, folder: Path) -> AsyncIterator[Channel]:
    """A channel to the daemon's own server. As a channel takes an address, there is a socket in
    `folder`, which is for this user alone and is gone afterwards. Raises `InvalidRequest` when it
    can't be had."""
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / "grpc.sock"
    path.unlink(missing_ok=True)
    # By the folder's descriptor: a socket's path may have no more than 107 bytes.
    opened = os.open(folder, os.O_PATH | os.O_CLOEXEC)
    try:
        address = f"/proc/self/fd/{opened}/grpc.sock"
        async with (
            serving(_listening(address), on_sockets(server.serve), most=_CONNECTIONS),
            Channel(f"unix:{address}") as channel,
        ):
            yield channel
    finally:
        path.unlink(missing_ok=True)
        os.close(opened)
        folder.rmdir()


def _listening(path: str) -> socket.socket:
    try:
        return listening(path)
    except OSError as error:
        raise InvalidRequest(f"cannot listen on unix:{path}: {os_message(error)}") from error
