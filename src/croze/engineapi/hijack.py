"""Connections that stop being HTTP: the client asks for another protocol, and gets the stream.

Source: Docker Engine API, `/grpc` and `/session`: a POST with `Upgrade: h2c`, answered by 101.
"""

from __future__ import annotations

import asyncio
import logging

from aiohttp import web

from croze.aio.streams import READ_BYTES
from croze.engineapi.connections import HttpConnection
from croze.engineapi.services import Services
from croze.errors import CrozeError, InvalidRequest
from croze.session.manager import HEADER_ID, Headers

log = logging.getLogger(__name__)


class AnsweredOnStream(web.Response):
    """Stands for an answer that was given on the stream itself, or that nobody waits for."""

    def __init__(self) -> None:
        super().__init__(status=101)
        self.force_close()

    async def prepare(self, request: web.BaseRequest) -> None:
        """Do nothing: there is nothing to send."""

    async def write_eof(self, data: bytes = b"") -> None:
        """Do nothing: there is nothing to send."""


class _Protocol(asyncio.StreamReaderProtocol):
    """Takes a connection over; the HTTP server hears of its end only."""

    def __init__(self, reader: asyncio.StreamReader, http: HttpConnection) -> None:
        super().__init__(reader)
        self._http = http

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._http.connection_lost(exc)


class Hijacked:
    """A connection's stream after the 101: what `rpc.bytestream.ByteStream` promises."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def read(self) -> bytes:
        return await self._reader.read(READ_BYTES)

    async def write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    def close(self) -> None:
        self._writer.close()


def hijack(request: web.Request) -> Hijacked:
    """Answer 101 and take the stream. Raises `ConnectionResetError` if the client has gone."""
    protocol = request.headers["Upgrade"]
    return _taken(request, f"101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: {protocol}")


def take_stream(request: web.Request, media_type: str) -> Hijacked:
    """Take the stream of a client that may not have asked for an upgrade: it gets the stream as the
    answer's body, and sends on after its request. Raises `ConnectionResetError` if the client has
    gone."""
    kind = f"Content-Type: {media_type}"
    if "Upgrade" in request.headers:
        return _taken(request, f"101 UPGRADED\r\n{kind}\r\nConnection: Upgrade\r\nUpgrade: tcp")
    return _taken(request, f"200 OK\r\n{kind}")


def _taken(request: web.Request, answer: str) -> Hijacked:
    transport = request.transport
    if transport is None or transport.is_closing():
        raise ConnectionResetError("the client has gone")
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(loop=loop)
    http = transport.get_protocol()
    assert isinstance(http, HttpConnection)
    protocol = _Protocol(reader, http)
    transport.set_protocol(protocol)
    protocol.connection_made(transport)
    if held := http.take_held():
        reader.feed_data(held)
    writer = asyncio.StreamWriter(transport, protocol, reader, loop)
    writer.write(f"HTTP/1.1 {answer}\r\n\r\n".encode("latin-1"))
    return Hijacked(reader, writer)


def check_upgrade(request: web.Request) -> None:
    """See that a request asks for HTTP/2. Raises `InvalidRequest`."""
    if request.headers.get("Upgrade", "").lower() != "h2c":
        raise InvalidRequest("no upgrade to h2c was asked for in the request")


async def grpc(request: web.Request, services: Services) -> web.StreamResponse:
    """`POST /grpc`: the daemon's own gRPC server."""
    check_upgrade(request)
    stream = hijack(request)
    try:
        await services.serve(stream)
    finally:
        stream.close()
    return AnsweredOnStream()


async def session(request: web.Request, services: Services) -> web.StreamResponse:
    """`POST /session`: a client lends what a build needs."""
    check_upgrade(request)
    headers = Headers.of(request.headers.items())
    if not headers.first(HEADER_ID):
        raise InvalidRequest("session without an id")
    stream = hijack(request)
    try:
        await services.sessions.serve(headers, stream)
    except (CrozeError, OSError) as error:
        log.warning("session %s: %s", headers.first(HEADER_ID), error)
    finally:
        stream.close()
    return AnsweredOnStream()
