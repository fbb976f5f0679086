"""A small process of the daemon's that stays in the mount namespace that the daemon was started in.

The daemon itself leaves for one of its own. Clients on the same machine lend it directories
(`croze.session.hostdir`), but only to a process that has the very files before it that they have:
in a mount namespace of its own, a daemon could be any container's. So this process makes the
connections, of which the kernel remembers who made them, and hands them over.

It is forked before anything is opened, and ends with the daemon.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from contextlib import ExitStack, suppress
from typing import NoReturn

from croze.aio.descriptors import receive_fd
from croze.aio.streams import readable
from croze.aio.threads import finish

CONNECTED, FAILED = b"y", b"n"
LARGEST_NAME_BYTES = 256


class Outside:
    """The daemon's end of the process that stayed outside."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._lock = asyncio.Lock()

    @classmethod
    def start(cls) -> Outside:
        """Fork the process. To be called before there are threads."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        if os.fork() == 0:
            ours.close()
            _run(theirs)
        theirs.close()
        return cls(ours)

    async def dial(self, name: str) -> socket.socket:
        """See `session.contract.Dial`."""
        async with self._lock:
            with ExitStack() as unwanted:
                # To the end: an answer that nobody took would be the next one's.
                sock = await finish(self._dial(name, unwanted))
                unwanted.pop_all()
                return sock

    async def _dial(self, name: str, unwanted: ExitStack) -> socket.socket:
        self._sock.send(name.encode())
        await readable(self._sock)
        answer, fd = receive_fd(self._sock, 1)
        if answer != CONNECTED or fd is None:
            raise ConnectionRefusedError(f"could not connect to {name}")
        return unwanted.enter_context(socket.socket(fileno=fd))


def _run(orders: socket.socket) -> NoReturn:
    """In the process itself, until the daemon's end is closed."""
    try:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        # What the daemon was given, such as sockets and pipes that others wait on, is the daemon's.
        for fd in map(int, os.listdir("/proc/self/fd")):
            if fd > 2 and fd != orders.fileno():
                with suppress(OSError):
                    os.close(fd)
        while name := orders.recv(LARGEST_NAME_BYTES):
            _connect(orders, name)
    finally:
        os._exit(0)


def _connect(orders: socket.socket, name: bytes) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        sock.setblocking(False)
        try:
            sock.connect(b"\0" + name)
        except (OSError, ValueError):
            orders.send(FAILED)
        else:
            socket.send_fds(orders, [CONNECTED], [sock.fileno()])
