"""Who comes in: connections are accepted, by TLS or in the clear, and no more of them than there is
room for.

A connection without a request under way costs memory and a descriptor. When there are too many the
one that has waited longest goes, so that whoever asks for something is answered.
"""

from __future__ import annotations

import asyncio
import resource
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from croze.engineapi import tls

MOST = 1024
PART_OF_DESCRIPTORS = 4
"""What is left is for builds."""
REFUSAL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"
    b"Connection: close\r\nContent-Length: 36\r\n\r\n"
    b'{"message":"too many connections"}\r\n'
)


def room() -> int:
    """How many connections there may be."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(16, min(MOST, descriptors // PART_OF_DESCRIPTORS))


class Doors:
    """Makes the HTTP protocol of each connection: at most so many at once."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._server: web.Server | None = None
        self._idle: dict[asyncio.Protocol, None] = {}

    def guard(self, server: web.Server) -> None:
        """Whose doors these are."""
        self._server = server

    def enter(self) -> asyncio.Protocol:
        """For a connection that has come."""
        assert self._server is not None
        if len(self._server.connections) >= self._most and not self._make_room():
            return _Refusing()
        made = self._server()
        self._idle[made] = None
        self._forget_gone()
        return made

    def _forget_gone(self) -> None:
        assert self._server is not None
        if len(self._idle) > 2 * self._most:
            there = set(self._server.connections)
            self._idle = {each: None for each in self._idle if each in there}

    def _make_room(self) -> bool:
        """Whether there is some: the one that has waited longest has gone."""
        for each in list(self._idle):
            del self._idle[each]
            if isinstance(each, RequestHandler) and each.transport is not None:
                each.transport.abort()
                each.force_close()
                return True
        return False

    @contextmanager
    def busy(self, protocol: asyncio.Protocol) -> Iterator[None]:
        """A request is under way inside."""
        self._idle.pop(protocol, None)
        try:
            yield
        finally:
            self._idle[protocol] = None


class _Refusing(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(REFUSAL)
        transport.close()


@asynccontextmanager
async def open_doors(
    doors: Doors, sock: socket.socket, context: ssl.SSLContext | None
) -> AsyncIterator[None]:
    """Connections of a listening socket come in while inside."""
    if context is not None:
        async with tls.TlsServer(context, doors.enter, room()).running(sock):
            yield
        return
    server = await asyncio.get_running_loop().create_server(doors.enter, sock=sock)
    try:
        yield
    finally:
        server.close()
