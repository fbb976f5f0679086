"""The socket over which an OCI runtime hands out a container's terminal (`--console-socket`)."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from pathlib import Path

NAME_BYTES = 4096


class ConsoleSocket:
    """Listens in a folder; gives the terminal's master to a callback as soon as it comes."""

    def __init__(self, folder: Path, name: str = "tty.sock") -> None:
        self.folder = folder
        self.name = name
        self._callback: Callable[[int], None] | None = None
        self._connection: socket.socket | None = None
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.setblocking(False)
        folder_fd = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            # The folder's own path may be too long for a socket's name.
            self._socket.bind(f"/proc/self/fd/{folder_fd}/{name}")
        finally:
            os.close(folder_fd)
        self._socket.listen(1)

    def on_terminal(self, callback: Callable[[int], None]) -> None:
        """Wait for the terminal. The callback owns the descriptor it gets."""
        self._callback = callback
        asyncio.get_running_loop().add_reader(self._socket, self._accept)

    def _accept(self) -> None:
        try:
            connection, _ = self._socket.accept()
        except BlockingIOError:
            return
        connection.setblocking(False)
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._socket)
        self._connection = connection
        loop.add_reader(connection, self._receive)

    def _receive(self) -> None:
        assert self._connection is not None
        try:
            _, fds, _, _ = socket.recv_fds(self._connection, NAME_BYTES, 1)
        except BlockingIOError:
            return
        self._end_connection()
        for fd in fds:
            assert self._callback is not None
            self._callback(fd)

    def _end_connection(self) -> None:
        if self._connection is not None:
            asyncio.get_running_loop().remove_reader(self._connection)
            self._connection.close()
            self._connection = None

    def close(self) -> None:
        """Take what has come already, then stop listening. Idempotent."""
        if self._socket.fileno() < 0:
            return
        if self._callback is not None:
            self._accept()
            if self._connection is not None:
                self._receive()
            self._end_connection()
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
