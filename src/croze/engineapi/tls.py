"""TLS whose two directions end one by one.

A client that attaches to a container says that it has no more to send (`close_notify`), and reads
on. asyncio's own TLS ends both directions then. So it is done here: the HTTP server is at the other
end of a socket pair, in the clear.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from croze.aio.parallel import all_of
from croze.aio.streams import serving
from croze.rpc.limits import most_connections

log = logging.getLogger(__name__)

CHUNK_BYTES = 1 << 16
HANDSHAKE_S = 10.0


class _Tls:
    """One connection's records, to and from the network."""

    def __init__(
        self, context: ssl.SSLContext, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._reader = reader
        self._writer = writer

    async def handshake(self) -> None:
        """Agree on keys with the client. Raises `ssl.SSLError`, which the client has been told."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                await self._receive()
            except ssl.SSLError:
                await self._flush()
                raise
            else:
                return await self._flush()

    async def read(self) -> bytes:
        """Nothing when the client has no more to send."""
        while True:
            try:
                return self._tls.read(CHUNK_BYTES)
            except ssl.SSLZeroReturnError:
                return b""
            except ssl.SSLWantReadError:
                await self._flush()
                await self._receive()

    async def write(self, data: bytes) -> None:
        self._tls.write(data)
        await self._flush()

    async def end(self) -> None:
        """Tell the client that there is no more to send."""
        with contextlib.suppress(ssl.SSLError):
            self._tls.unwrap()
        await self._flush()
        self._writer.close()

    async def _receive(self) -> None:
        if not (data := await self._reader.read(CHUNK_BYTES)):
            raise ConnectionResetError("the client has gone")
        self._incoming.write(data)

    async def _flush(self) -> None:
        if data := self._outgoing.read():
            self._writer.write(data)
            await self._writer.drain()


class TlsServer:
    """Takes connections, and hands each to the HTTP server once it is known whose it is. Of those
    that don't say so in time, and of very many, the oldest goes."""

    def __init__(
        self, context: ssl.SSLContext, make: Callable[[], asyncio.Protocol], most: int
    ) -> None:
        """`make` makes the HTTP protocol of a connection; `most` may be in their handshakes at
        once."""
        self._context = context
        self._make = make
        self._most = most
        self._unknown: dict[asyncio.StreamWriter, None] = {}

    @asynccontextmanager
    async def running(self, sock: socket.socket) -> AsyncIterator[None]:
        """Take connections on a listening socket, while inside; then they end."""
        async with serving(sock, self._serve, most=most_connections()):
            yield

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection to its end."""
        try:
            tls = _Tls(self._context, reader, writer)
            with self._unknown_yet(writer):
                async with asyncio.timeout(HANDSHAKE_S):
                    await tls.handshake()
            clear_reader, clear_writer = await self._clear()
            try:
                await all_of([_inward(tls, clear_writer), _outward(clear_reader, tls)])
            finally:
                clear_writer.close()
        except (OSError, TimeoutError) as error:  # ssl.SSLError is an OSError
            log.debug("a connection by TLS ended: %s", error)
        except Exception:  # what is wrong with one connection ends no other
            log.exception("a connection by TLS")
        finally:
            writer.close()

    @contextmanager
    def _unknown_yet(self, writer: asyncio.StreamWriter) -> Iterator[None]:
        if len(self._unknown) >= self._most:
            next(iter(self._unknown)).transport.abort()
        self._unknown[writer] = None
        try:
            yield
        finally:
            del self._unknown[writer]

    async def _clear(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A fresh connection to the HTTP server."""
        ours, theirs = socket.socketpair()
        try:
            await asyncio.get_running_loop().connect_accepted_socket(self._make, theirs)
            return await asyncio.open_connection(sock=ours)
        except BaseException:
            ours.close()
            theirs.close()
            raise


async def _inward(tls: _Tls, clear: asyncio.StreamWriter) -> None:
    while data := await tls.read():
        clear.write(data)
        await clear.drain()
    with contextlib.suppress(OSError):
        clear.write_eof()


async def _outward(clear: asyncio.StreamReader, tls: _Tls) -> None:
    while data := await clear.read(CHUNK_BYTES):
        await tls.write(data)
    await tls.end()
