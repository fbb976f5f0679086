"""The connections of clients: accepted, by TLS or in the clear, and no more of them than there is
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

from aiohttp import StreamReader, web
from aiohttp.web_protocol import RequestHandler

from croze.engineapi import tls

MOST = 1024
CONNECTION_BYTES = 2 << 20
"""The most of a request's head and of those behind it: a build's arguments and labels are in it."""
ALL_BYTES = 64 << 20
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


class HttpConnection(asyncio.Protocol):
    """What is between a connection and its HTTP protocol: counts what comes before a request has
    begun, as HTTP's own limits are of single lines, and holds back what comes after it: if the
    connection stops being HTTP, that is for whoever takes it over."""

    def __init__(self, connections: Connections, http: RequestHandler) -> None:
        self.http = http
        self.busy = False
        self._body: StreamReader | None = None
        """The body of the last request: it may be sent on after the answer."""
        self.head_bytes = 0
        self._held = bytearray()
        self._connections = connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.http.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if self._body is not None and not self._body.is_eof():
            self.http.data_received(data)
            return
        self.head_bytes += len(data)
        if not self._connections.admits(self, len(data)):
            return
        if self.busy:
            self._held += data
        else:
            self.http.data_received(data)

    def take_held(self) -> bytes:
        """What came after the request that is under way."""
        held, self._held = bytes(self._held), bytearray()
        return held

    def begin_request(self, body: StreamReader) -> None:
        self.busy, self._body = True, body

    def end_request(self) -> None:
        """Let another request begin."""
        self.busy = False
        if held := self.take_held():
            self.http.data_received(held)

    def eof_received(self) -> None:
        self.http.eof_received()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._connections.gone(self)
        self.http.connection_lost(exc)

    def pause_writing(self) -> None:
        self.http.pause_writing()

    def resume_writing(self) -> None:
        self.http.resume_writing()

    def abort(self) -> None:
        if self.http.transport is not None:
            self.http.transport.abort()
            self.http.force_close()


class Connections:
    """All connections of a server: at most so many at once."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._server: web.Server | None = None
        self._open: dict[asyncio.BaseProtocol, HttpConnection] = {}
        """By their HTTP protocols; the one that has waited longest is the first."""
        self._head_bytes = 0

    def serve_by(self, server: web.Server) -> None:
        """Set the server that connections are for."""
        self._server = server

    def accept(self) -> asyncio.Protocol:
        """The protocol of a connection that has come; one that refuses it if there is no room."""
        assert self._server is not None
        if len(self._open) >= self._most and not self._make_room():
            return _Refusing()
        http = self._server()
        connection = self._open[http] = HttpConnection(self, http)
        return connection

    def _make_room(self) -> bool:
        """Whether there is some: the idle one that has waited longest has gone."""
        idle = next((each for each in self._open.values() if not each.busy), None)
        if idle is not None:
            self.gone(idle)
            idle.abort()
        return idle is not None

    def admits(self, connection: HttpConnection, more_bytes: int) -> bool:
        """Whether a connection may send so much more; if there is too much, the one with most of
        it goes."""
        self._head_bytes += more_bytes
        worst = connection
        if connection.head_bytes <= CONNECTION_BYTES:
            if self._head_bytes <= ALL_BYTES:
                return True
            worst = max(self._open.values(), key=lambda each: each.head_bytes)
        self.gone(worst)
        worst.abort()
        return worst is not connection

    def gone(self, connection: HttpConnection) -> None:
        """Count a connection as ended. Idempotent."""
        if self._open.pop(connection.http, None) is not None:
            self._forget_head(connection)

    def _forget_head(self, connection: HttpConnection) -> None:
        self._head_bytes -= connection.head_bytes
        connection.head_bytes = 0

    @contextmanager
    def busy(self, request: web.BaseRequest) -> Iterator[None]:
        """Count a request as under way while inside."""
        connection = self._open.get(request.protocol)
        if connection is None:  # it has gone already
            yield
            return
        self._forget_head(connection)
        connection.begin_request(request.content)
        try:
            yield
        finally:
            connection.end_request()
            if self._open.pop(connection.http, None) is not None:
                self._open[connection.http] = connection


class _Refusing(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(REFUSAL)
        transport.close()


@asynccontextmanager
async def accepting(
    connections: Connections, sock: socket.socket, context: ssl.SSLContext | None
) -> AsyncIterator[None]:
    """Connections of a listening socket come in while inside."""
    if context is not None:
        async with tls.TlsServer(context, connections.accept, room()).running(sock):
            yield
        return
    server = await asyncio.get_running_loop().create_server(connections.accept, sock=sock)
    try:
        yield
    finally:
        server.close()
