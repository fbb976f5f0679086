"""A byte stream inside a gRPC call, joined to a Unix socket.

`Control.Session` carries raw HTTP/2 in byte messages, and so does a frontend's standard input and
output. gRPC can only talk to sockets, so where it speaks (the daemon's end of a session does
without it, see `tunnel`) the messages are pumped to an abstract Unix socket, of which nothing is
left on disk. Anybody on the machine may connect to an abstract socket: who dials accepts its own
process alone (peer credentials), and a server answers only the one peer name it bound itself.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import Protocol

from croze.aio.streams import readable
from croze.files.peers import peer_of

CHUNK_BYTES = 256 * 1024
GATHER_BYTES = 32 * 1024
BUSY_S = 0.003
GATHER_S = 0.001


class Connection(Protocol):
    """One end of a byte stream."""

    async def read(self) -> bytes:
        """The next piece; empty at the end."""

    async def write(self, data: bytes) -> None: ...


def fresh_name() -> str:
    """A name for an abstract socket that nobody can guess."""
    return f"croze-{secrets.token_hex(16)}"


class Accepted:
    """A listening socket that takes one connection, from this very process, and no more."""

    def __init__(self, name: str) -> None:
        self._listener = _unix_socket()
        self._listener.bind(f"\0{name}")
        self._listener.listen(1)
        self._sock: socket.socket | None = None

    async def wait(self) -> socket.socket:
        while self._sock is None:
            await readable(self._listener)
            # Not `loop.sock_accept`: cancelled at the wrong moment it loses the connection.
            sock, _ = self._listener.accept()
            if peer_of(sock).pid == os.getpid():
                sock.setblocking(False)
                self._sock = sock
            else:
                sock.close()
        self._listener.close()
        return self._sock

    def close(self) -> None:
        self._listener.close()
        if self._sock is not None:
            self._sock.close()


@contextmanager
def accepting(name: str) -> Iterator[Accepted]:
    accepted = Accepted(name)
    try:
        yield accepted
    finally:
        accepted.close()


async def connect_packets(name: str) -> socket.socket:
    """Connect to an abstract socket of packets. Raises `OSError`."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        sock.setblocking(False)
        sock.connect(f"\0{name}")
    except BaseException:
        sock.close()
        raise
    return sock


async def connect(name: str, own_name: str = "") -> socket.socket:
    """Connect to an abstract socket; the other side sees `own_name` as the peer."""
    sock = _unix_socket()
    try:
        if own_name:
            sock.bind(f"\0{own_name}")
        await asyncio.get_running_loop().sock_connect(sock, f"\0{name}")
    except BaseException:
        sock.close()
        raise
    return sock


def _unix_socket() -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    sock.setblocking(False)
    return sock


async def inward(connection: Connection, sock: socket.socket) -> None:
    """Everything read from `connection` goes to the socket, until the end."""
    loop = asyncio.get_running_loop()
    while data := await connection.read():
        await loop.sock_sendall(sock, data)


async def outward(sock: socket.socket, connection: Connection) -> None:
    """Everything read from the socket goes to `connection`, until the end.

    gRPC writes small frames one by one, and a message costs more than its bytes: in the middle of
    a busy stream this waits a little for more to come.
    """
    loop = asyncio.get_running_loop()
    last_s = 0.0
    while data := await loop.sock_recv(sock, CHUNK_BYTES):
        now_s = loop.time()
        if len(data) < GATHER_BYTES and now_s - last_s < BUSY_S:
            await asyncio.sleep(GATHER_S)
            data += _at_hand(sock, CHUNK_BYTES - len(data))
        last_s = now_s
        await connection.write(data)


def _at_hand(sock: socket.socket, limit: int) -> bytes:
    try:
        return sock.recv(limit)
    except BlockingIOError:
        return b""


class _Ended(Exception):
    """One direction has ended, so the stream has."""


async def both(connection: Connection, sock: socket.socket, *also: Awaitable[None]) -> None:
    """Pump both ways until one side ends; what is in `also` ends it too. Raises what broke it."""

    async def until_end(work: Awaitable[None]) -> None:
        await work
        raise _Ended

    try:
        async with asyncio.TaskGroup() as group:
            for work in (inward(connection, sock), outward(sock, connection), *also):
                group.create_task(until_end(work))
    except BaseExceptionGroup as ended:
        broken = ended.split(_Ended)[1]
        if broken is not None:
            raise broken.exceptions[0] from None
