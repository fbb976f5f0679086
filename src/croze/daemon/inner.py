"""The gRPC server's own socket, for connections that grpc does not take from clients itself."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc.aio

from croze.errors import InvalidRequest
from croze.rpc import channels


class InnerPort:
    """Made when it is first asked for, which must be before the server starts.

    It is in `folder`, which is for this user alone: it skips what outer sockets check.
    """

    def __init__(self, server: grpc.aio.Server, folder: Path) -> None:
        self._server = server
        self._folder = folder
        self._fd = -1

    @property
    def path(self) -> str:
        # By the folder's descriptor: a socket's path may have no more than 107 bytes.
        return f"/proc/self/fd/{self._fd}/grpc.sock"

    def open(self) -> None:
        """Raises `InvalidRequest` when it can't be had."""
        if self._fd >= 0:
            return
        self._folder.mkdir(mode=0o700, exist_ok=True)
        (self._folder / "grpc.sock").unlink(missing_ok=True)
        self._fd = os.open(self._folder, os.O_PATH | os.O_CLOEXEC)
        add_port(self._server, f"unix:{self.path}")

    async def connect(self) -> socket.socket:
        """A fresh connection to the server. Raises `OSError` once that is gone."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            sock.setblocking(False)
            await asyncio.get_running_loop().sock_connect(sock, self.path)
        except BaseException:
            sock.close()
            raise
        return sock

    def channel(self) -> grpc.aio.Channel:
        """For calls of our own; to be closed."""
        return channels.open_channel(f"unix:{self.path}", channels.LOCAL)

    def close(self) -> None:
        if self._fd >= 0:
            (self._folder / "grpc.sock").unlink(missing_ok=True)
            os.close(self._fd)
            self._folder.rmdir()


@asynccontextmanager
async def inner_port(server: grpc.aio.Server, folder: Path) -> AsyncIterator[InnerPort]:
    """Nothing of it is left afterwards."""
    inner = InnerPort(server, folder)
    try:
        yield inner
    finally:
        inner.close()


def add_port(server: grpc.aio.Server, address: str) -> None:
    """Raises `InvalidRequest` when the address can't be had."""
    try:
        server.add_insecure_port(address)
    except RuntimeError as error:
        raise InvalidRequest(f"cannot listen on {address}") from error
