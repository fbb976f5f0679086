"""A command's standard streams in a pod, over a WebSocket.

Each message begins with its channel: 0 is input, 1 output, 2 errors, 3 the command's end as a
`Status`; in version 5 of the protocol a message 255 says that a channel is closed.

Source: Kubernetes KEP-4006; `apimachinery/pkg/util/remotecommand`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from croze.drivers.kubernetes.api import status_of
from croze.errors import Unavailable

if TYPE_CHECKING:
    import aiohttp

STDIN, STDOUT, STDERR, END, CLOSE = 0, 1, 2, 3, 255
V5 = "v5.channel.k8s.io"
CHUNK_BYTES = 32 * 1024
"""How much input goes in one message: servers need not take more."""


class PodOutput:
    """The command's output, as a `tunnel.TunnelReader`; errors go to `on_error` as they come."""

    def __init__(
        self, socket: aiohttp.ClientWebSocketResponse, on_error: Callable[[bytes], None]
    ) -> None:
        self._socket = socket
        self._on_error = on_error
        self._rest = b""
        self._ended = False

    async def read(self, n: int = -1, /) -> bytes:
        """The next piece of the command's output; empty at its end. Raises `Unavailable` if the
        command failed, or the connection broke off."""
        while not self._rest and not self._ended:
            self._take(await self._next())
        piece = self._rest if n < 0 else self._rest[:n]
        self._rest = self._rest[len(piece) :]
        return piece

    async def _next(self) -> bytes:
        import aiohttp

        message = await self._socket.receive()
        if message.type is aiohttp.WSMsgType.BINARY:
            return bytes(message.data)
        if message.type is aiohttp.WSMsgType.TEXT:
            return str(message.data).encode()
        self._ended = True
        if message.type is aiohttp.WSMsgType.ERROR:
            raise Unavailable(f"the connection to the pod broke off: {message.data}")
        return b""

    def _take(self, message: bytes) -> None:
        if not message:
            return
        channel, data = message[0], message[1:]
        if channel == STDOUT:
            self._rest = data
        elif channel == STDERR:
            self._on_error(data)
        elif channel == END:
            self._ended = True
            status = status_of(data)
            if status.status != "Success":
                raise Unavailable(status.message)


class Input:
    """The command's input, as a `tunnel.TunnelWriter`."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._waiting = bytearray()
        self._eof = False

    def write(self, data: bytes, /) -> None:
        self._waiting += data

    async def drain(self) -> None:
        while self._waiting:
            piece = bytes(self._waiting[:CHUNK_BYTES])
            del self._waiting[: len(piece)]
            await self._socket.send_bytes(bytes([STDIN]) + piece)
        if self._eof:
            self._eof = False
            await self._socket.send_bytes(bytes([CLOSE, STDIN]))

    def can_write_eof(self) -> bool:
        return self._socket.protocol == V5

    def write_eof(self) -> None:
        """End the input, with the next `drain`."""
        self._eof = True

    def close(self) -> None:
        """Do nothing: whoever opened the socket closes it."""
