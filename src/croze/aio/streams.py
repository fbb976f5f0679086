"""Servers of byte streams, with bounds on how many may connect.

`asyncio.start_server` takes whoever comes: a step of a build that opens connections to a socket it
was lent, and says nothing, takes all descriptors of the daemon. Nor does it wait for those it
serves. Here there are so many at once and no more, each with an owner; it is banned elsewhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import logging
import socket
import ssl
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from croze.aio.threads import finish

log = logging.getLogger(__name__)

HANDSHAKE_S: Final = 10.0
_PAUSE_S: Final = 0.5
_CLOSE_S: Final = 60.0
_STOP_S: Final = 1.0
_BUFFER_BYTES: Final = 64 << 10
_ALL: Final = 1 << 30
READ_BYTES: Final = 256 << 10
"""What is read at once, where that may be much."""
_KEEPALIVE_S: Final = 15
_PROBES: Final = 9
_TRICKLE_BYTES: Final = 4 << 10
_TRICKLE: Final = 16
"""So many pieces in a row, none larger, are a trickle: what comes then is gathered."""
_GATHER_S: Final = 0.001
_TURN: Final = 32
"""Connections that are taken before others get a turn."""

Serve = Callable[[StreamReader, StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def serving(
    listener: socket.socket,
    serve: Serve,
    *,
    most: int,
    tls: ssl.SSLContext | None = None,
    buffer_bytes: int = _BUFFER_BYTES,
) -> AsyncIterator[None]:
    """Call `serve` for each connection of a listening socket, `most` at once: who comes when there
    are as many is hung up on, unless somebody has yet to finish the handshake, who goes first.

    An error ends its connection alone. When the block ends the socket is closed, and so is what
    goes on.
    """
    with listener:
        listener.setblocking(False)
        server = _Server(listener, serve, most, tls, buffer_bytes)
        # No group: what is raised inside is to come out as it is.
        accepting = asyncio.ensure_future(server.accept())  # noqa: TID251 - owned right here
        try:
            yield
        finally:
            accepting.cancel()
            await finish(server.hang_up(accepting))


def listening(path: str) -> socket.socket:
    """A Unix socket at a path, listening."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        sock.bind(path)
        sock.listen()
    except BaseException:
        sock.close()
        raise
    return sock


class Socket:
    """A connection as a stream of bytes."""

    def __init__(self, reader: StreamReader, writer: StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._pushing: _Pushing | None = None

    async def read(self) -> bytes:
        """The next piece; empty at the end."""
        return await self._reader.read(READ_BYTES)

    async def write(self, data: bytes) -> None:
        """Waits while the peer takes nothing."""
        self.write_now(data)
        await self._writer.drain()

    async def push(self, take: Callable[[bytes], None]) -> None:
        """Hand over what comes as soon as it comes, until the end; instead of `read`. Raises what
        `take` raises."""
        if not (first := await self._reader.read(_ALL)):
            return
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        transport = self._writer.transport
        inner = transport.get_protocol()
        assert isinstance(inner, asyncio.StreamReaderProtocol)
        assert isinstance(transport, asyncio.Transport)
        self._pushing = _Pushing(transport, inner, take, ended)
        transport.set_protocol(self._pushing)
        take(first)
        if not self._reader.at_eof():
            await ended

    @property
    def is_clear(self) -> bool:
        """Whether the peer has taken all that was written."""
        return not self._writer.transport.get_write_buffer_size()

    def write_now(self, data: bytes) -> None:
        """Write without waiting; for when it `is_clear`."""
        if self._pushing is not None:
            self._pushing.answered()
        self._writer.write(data)


class _Pushing(asyncio.Protocol):
    """Takes the place of `inner`, which hears of all but the data.

    A peer that sends a little many times in a row, without an answer to wait for, is left to gather
    some: each piece costs a turn of the event loop and of the system, at both ends.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        inner: asyncio.StreamReaderProtocol,
        take: Callable[[bytes], None],
        ended: asyncio.Future[None],
    ) -> None:
        self._transport = transport
        self._inner = inner
        self._take = take
        self._ended = ended
        self._loop = asyncio.get_running_loop()
        self._trickle = 0
        """Pieces that came close upon one another since the last answer, all of them small."""
        self._last_s = 0.0

    def data_received(self, data: bytes) -> None:
        if self._ended.done():
            return
        try:
            self._take(data)
        except Exception as error:
            self._ended.set_exception(error)
            return
        self._gather_if_trickling(len(data))

    def answered(self) -> None:
        """Something is written, which the peer may have waited for."""
        self._trickle = 0

    def _gather_if_trickling(self, size: int) -> None:
        now_s = self._loop.time()
        is_next = size <= _TRICKLE_BYTES and now_s - self._last_s < 2 * _GATHER_S
        self._trickle = self._trickle + 1 if is_next else 0
        self._last_s = now_s
        if self._trickle >= _TRICKLE and not self._transport.is_closing():
            self._transport.pause_reading()
            self._loop.call_later(_GATHER_S, self._go_on)

    def _go_on(self) -> None:
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def eof_received(self) -> bool | None:
        self._end(None)
        return self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(exc)
        self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def _end(self, error: Exception | None) -> None:
        if self._ended.done():
            return
        if error is None:
            self._ended.set_result(None)
        else:
            self._ended.set_exception(error)


def on_sockets(serve: Callable[[Socket], Awaitable[None]]) -> Serve:
    """A `Serve` that gives each connection to `serve` as a `Socket`."""

    async def pair(reader: StreamReader, writer: StreamWriter) -> None:
        await serve(Socket(reader, writer))

    return pair


class _Server:
    def __init__(
        self,
        listener: socket.socket,
        serve: Serve,
        most: int,
        tls: ssl.SSLContext | None,
        buffer_bytes: int,
    ) -> None:
        self._listener = listener
        self._serve = serve
        self._most = most
        self._tls = tls
        self._buffer_bytes = buffer_bytes
        self._tasks: set[asyncio.Task[None]] = set()
        self._greeting: dict[asyncio.Task[None], None] = {}
        """The connections in their handshakes, in the order they came."""
        self._begun: set[asyncio.Task[None]] = set()
        """Whose sockets are closed by themselves."""

    async def accept(self) -> None:
        while True:
            await readable(self._listener)
            try:
                for _ in range(_TURN):
                    self._take(kept_alive(self._listener.accept()[0]))
            except (BlockingIOError, ConnectionAbortedError):
                continue
            except OSError as error:
                if error.errno == errno.EINVAL:  # it was shut down, which lets nobody in any more
                    return
                log.warning("no connections are accepted for a while: %s", error)
                await asyncio.sleep(_PAUSE_S)

    def _take(self, sock: socket.socket) -> None:
        if len(self._tasks) >= self._most:
            if not self._greeting:
                sock.close()
                return
            oldest = next(iter(self._greeting))
            self._forget(oldest)
            oldest.cancel()
        task = asyncio.ensure_future(self._speak(sock))  # noqa: TID251 - `hang_up` awaits it
        self._tasks.add(task)
        self._greeting[task] = None
        task.add_done_callback(functools.partial(self._ended, sock))

    def _ended(self, sock: socket.socket, task: asyncio.Task[None]) -> None:
        self._forget(task)
        if task not in self._begun:
            sock.close()
        self._begun.discard(task)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._greeting.pop(task, None)

    async def hang_up(self, accepting: asyncio.Future[None]) -> None:
        tasks = {accepting, *self._tasks, *self._begun}
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    async def _speak(self, sock: socket.socket) -> None:
        """One connection."""
        task = asyncio.current_task()
        assert task is not None
        self._begun.add(task)
        try:
            reader, writer = await self._open(sock)
            self._greeting.pop(task, None)
            patience_s = _STOP_S
            try:
                await self._serve(reader, writer)
                patience_s = _CLOSE_S
            finally:
                await _closed(writer, patience_s)
        except OSError as error:
            log.debug("a connection broke: %s", error)
        except Exception:
            log.exception("a connection failed")

    async def _open(self, sock: socket.socket) -> tuple[StreamReader, StreamWriter]:
        loop = asyncio.get_running_loop()
        met: asyncio.Future[tuple[StreamReader, StreamWriter]] = loop.create_future()

        def meet(reader: StreamReader, writer: StreamWriter) -> None:
            met.set_result((reader, writer))

        first = StreamReader(limit=self._buffer_bytes, loop=loop)
        protocol = asyncio.StreamReaderProtocol(first, meet, loop=loop)
        timeout = None if self._tls is None else HANDSHAKE_S
        transport, _ = await loop.connect_accepted_socket(
            lambda: protocol, sock, ssl=self._tls, ssl_handshake_timeout=timeout
        )
        try:
            return await met
        except BaseException:
            transport.abort()
            raise


def kept_alive(sock: socket.socket) -> socket.socket:
    """Turn keep-alive on for a connection: a machine that has gone says no goodbye, and counts as
    gone after two and a half minutes, as Go's servers have it."""
    if sock.family != socket.AF_UNIX:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEPALIVE_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _KEEPALIVE_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _PROBES)
    return sock


async def _closed(writer: StreamWriter, patience_s: float) -> None:
    """Wait until the peer has all that was written, or has had its time for that. So the connection
    counts as long as it has a descriptor, and somebody hears of the error that it ended with."""
    writer.close()
    try:
        async with asyncio.timeout(patience_s):
            await writer.wait_closed()
    except OSError:
        writer.transport.abort()


async def readable(sock: socket.socket) -> None:
    """Wait until there is something to read, or to accept. Unlike `loop.sock_accept` it loses
    nothing when it is cancelled."""
    loop = asyncio.get_running_loop()
    ready = loop.create_future()

    def tell() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(sock, tell)
    try:
        await ready
    finally:
        loop.remove_reader(sock)
