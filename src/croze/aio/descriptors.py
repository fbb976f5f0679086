"""File descriptors: received over a Unix socket, written to without blocking."""

from __future__ import annotations

import array
import asyncio
import os
import socket


def receive_fd(sock: socket.socket, size: int) -> tuple[bytes, int | None]:
    """The next packet of at most `size` bytes, and the descriptor that came with it, which programs
    that this process starts do not inherit. (`socket.recv_fds` passes no flags on before 3.14.)"""
    fds = array.array("i")
    data, ancillary, _, _ = sock.recvmsg(
        size, socket.CMSG_LEN(fds.itemsize), socket.MSG_CMSG_CLOEXEC
    )
    for level, kind, sent in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(sent[: len(sent) - len(sent) % fds.itemsize])
    return data, fds[0] if fds else None


async def write_all(fd: int, data: bytes) -> None:
    """Write all of the data to a non-blocking descriptor. Raises `OSError`."""
    loop = asyncio.get_running_loop()
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            writable = asyncio.Event()
            loop.add_writer(fd, writable.set)
            try:
                await writable.wait()
            finally:
                loop.remove_writer(fd)
