"""A socket of our own before a connection that is none: a process, an upgraded request.

Clients of gRPC and HTTP dial sockets. This one lies in a directory that nobody else can enter, and
each connection to it opens the real one once.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from croze.aio.parallel import meanwhile
from croze.aio.streams import listening, serving
from croze.errors import CrozeError, Unavailable
from croze.fs.temporary import temporary_directory

if TYPE_CHECKING:
    from croze.client.connect import Client

T = TypeVar("T")
MOST = 256
"""Connections at once; a client of gRPC makes one."""
CHUNK_BYTES = 64 * 1024


class TunnelReader(Protocol):
    """The bytes that the far end says. An `asyncio.StreamReader` is one."""

    async def read(self, n: int = -1, /) -> bytes:
        """Some bytes, `n` at most; none at the end. Raises `ConnectionError`."""


class TunnelWriter(Protocol):
    """Takes bytes for the far end. An `asyncio.StreamWriter` is one."""

    def write(self, data: bytes, /) -> None:
        """Buffer bytes to be sent. Never blocks."""

    async def drain(self) -> None:
        """Wait until there is room for more. Raises `ConnectionError`."""

    def can_write_eof(self) -> bool:
        """Whether the far end can be told that no more bytes follow while it still answers."""

    def write_eof(self) -> None:
        """Tell the far end that no more bytes follow."""

    def close(self) -> None:
        """Begin to close the connection, without waiting for it."""


Streams = tuple[TunnelReader, TunnelWriter]
"""Both ways of a connection."""
SocketStreams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
"""Both ways, where a socket or pipes are."""


def to_standard_error(data: bytes) -> None:
    """Show what a far end says besides its answers."""
    sys.stderr.write(data.decode(errors="replace"))


class Tunnel:
    """An open tunnel. `error` is why the far end could not be reached, the last time, for a caller
    whose gRPC call only knows that its connection was closed."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.error: CrozeError | None = None
        self._failed = asyncio.Event()

    def fail(self, error: CrozeError, *, forever: bool) -> None:
        """The far end could not be reached; `forever`: nor will it be."""
        self.error = error
        if forever:
            self._failed.set()

    async def guarded(self, call: Coroutine[None, None, T]) -> T:
        """What `call` gives, which may wait long for an answer; or, at once, the reason why there
        will be none. Raises `CrozeError`."""
        async with asyncio.TaskGroup() as group:
            failed = group.create_task(self._failed.wait())
            calling = group.create_task(_outcome(call))
            await asyncio.wait((failed, calling), return_when=asyncio.FIRST_COMPLETED)
            failed.cancel()
            calling.cancel()
        if self.error is not None and self._failed.is_set():
            raise self.error
        result = calling.result()
        if isinstance(result, Unavailable):
            raise self.error or result
        if isinstance(result, CrozeError):
            raise result
        return result


@asynccontextmanager
async def tunnel(
    connect: Callable[[], AbstractAsyncContextManager[Streams]],
) -> AsyncIterator[Tunnel]:
    """A socket to dial, while inside: `connect` opens the far end, for each connection anew. On
    exit all of them are closed."""
    with temporary_directory("dial") as folder:
        path = str(Path(folder) / "daemon.sock")
        opened = Tunnel(f"unix://{path}")

        async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            is_there = False
            try:
                async with connect() as far:
                    is_there = True
                    await carry((reader, writer), far)
            except CrozeError as error:
                opened.fail(error, forever=not is_there)

        async with serving(listening(path), accepted, most=MOST):
            yield opened


@asynccontextmanager
async def carried_client(
    connect: Callable[[], AbstractAsyncContextManager[Streams]],
) -> AsyncIterator[Client]:
    """A client of the daemon behind connections that `connect` opens. Raises what `connect` does
    where gRPC only knows that there is no connection."""
    from croze.client.connect import connect as connect_client

    async with tunnel(connect) as opened:
        try:
            async with connect_client(opened.address, far=True) as client:
                yield client
        except Unavailable as error:
            raise (opened.error or error) from None


async def _outcome(call: Coroutine[None, None, T]) -> T | CrozeError:
    try:
        return await call
    except CrozeError as error:
        return error


async def carry(near: Streams, far: Streams) -> None:
    """Carry bytes in both directions, until the far end has said all, or the near one is gone.
    Raises what the far end does."""
    async with meanwhile() as beside:
        beside.begin(_pump(near[0], far[1]))
        await _pump(far[0], near[1])


async def _pump(reader: TunnelReader, writer: TunnelWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
            await writer.drain()
