"""Connections of clients, passed on to the gRPC server's inner port, with the bytes of sessions
taken out on the way (`rpc.http2.splice`)."""

from __future__ import annotations

import asyncio
import logging
import secrets
from asyncio import StreamReader, StreamWriter
from collections import deque
from collections.abc import Callable
from typing import Final

from google.protobuf.message import DecodeError

from croze.api import control_pb2
from croze.rpc.http2.frames import Code
from croze.rpc.http2.messages import prefixed
from croze.rpc.http2.sieve import Taken
from croze.rpc.http2.splice import Splice
from croze.session.manager import HEADER_BYTES, Sessions

log = logging.getLogger(__name__)

BUFFER_BYTES: Final = 256 << 10
HELD_BYTES: Final = 1 << 20
"""What may wait for the other end's window before no more is read."""
_SESSION = "/moby.buildkit.v1.Control/Session"


class Relay:
    """One connection."""

    def __init__(
        self,
        client: tuple[StreamReader, StreamWriter],
        server: tuple[StreamReader, StreamWriter],
        sessions: Sessions,
    ) -> None:
        self._from_client, self._to_client = client
        self._from_server, self._to_server = server
        self._sessions = sessions
        self.splice = Splice(self._wanted)
        self._mine: dict[str, Taken] = {}
        self._eased = asyncio.Event()
        self._ended = False

    async def run(self) -> None:
        """Until either side has closed."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._inward())
                group.create_task(self._outward())
        finally:
            self.splice.close()
            for name in self._mine:
                self._sessions.taken.pop(name, None)

    def abort(self) -> None:
        """Both ends find the connection broken."""
        for writer in (self._to_server, self._to_client):
            writer.transport.abort()

    async def _inward(self) -> None:
        splice = self.splice
        try:
            while data := await self._from_client.read(BUFFER_BYTES):
                splice.from_client(data)
                self.flush()
                await self._to_server.drain()
                await self._until(lambda: splice.held_from_client < HELD_BYTES)
        except OSError as error:
            log.debug("a client's connection broke: %s", error)
        finally:
            splice.close()
            self._end(self._to_server)

    async def _outward(self) -> None:
        splice = self.splice
        try:
            while data := await self._from_server.read(BUFFER_BYTES):
                splice.from_server(data)
                self.flush()
                await self._to_client.drain()
                await self._until(lambda: splice.held_from_server < HELD_BYTES)
        except OSError as error:
            log.debug("a client's connection broke: %s", error)
        finally:
            # The server, or we, may be held up by what nobody reads any more.
            self._to_server.transport.abort()
            self._end(self._to_client)

    async def _until(self, enough: Callable[[], bool]) -> None:
        """Wait for the other direction to make room, or to end."""
        while not (enough() or self._ended):
            self._eased.clear()
            await self._eased.wait()

    def _end(self, writer: StreamWriter) -> None:
        self._ended = True
        self._eased.set()
        writer.close()

    def flush(self) -> None:
        """Write what may go, both ways."""
        if data := self.splice.to_server():
            self._to_server.write(data)
        if data := self.splice.to_client():
            self._to_client.write(data)
        self._eased.set()

    async def drain(self) -> None:
        """Wait for the client to take what is there."""
        await self._to_client.drain()

    def _wanted(self, path: str, taken: Taken) -> tuple[str, str] | None:
        if path != _SESSION:
            return None
        for name in [name for name, each in self._mine.items() if each.over]:
            del self._mine[name]
            self._sessions.taken.pop(name, None)
        name = secrets.token_hex(16)
        self._mine[name] = taken
        self._sessions.taken[name] = _Bytes(self, taken)
        return HEADER_BYTES, name


class _Bytes:
    """What a session's call carries: a `bridge.Connection`."""

    def __init__(self, relay: Relay, taken: Taken) -> None:
        self._relay = relay
        self._taken = taken
        self._messages: deque[bytes] = deque()
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        taken.on_news = self._news.set
        taken.on_room = self._room.set

    async def read(self) -> bytes:
        """What has come, up to a bound: others want a turn, too."""
        while True:
            if self._messages:
                await asyncio.sleep(0)
            else:
                self._news.clear()
                self._messages = deque(self._relay.splice.take(self._taken))
                self._relay.flush()
            if data := self._some():
                return data
            if self._taken.ended:
                return b""
            await self._news.wait()

    def _some(self) -> bytes:
        pieces, size = [], 0
        try:
            while self._messages and size < BUFFER_BYTES:
                data = control_pb2.BytesMessage.FromString(self._messages.popleft()).data
                pieces.append(data)
                size += len(data)
        except DecodeError:
            self._relay.splice.break_off(self._taken, Code.CANCEL)
            self._relay.flush()
            raise ConnectionResetError("what has come is no message of bytes") from None
        return b"".join(pieces)

    async def write(self, data: bytes) -> None:
        """Raises `ConnectionResetError` when the client has gone."""
        rest = memoryview(prefixed(control_pb2.BytesMessage(data=data).SerializeToString()))
        while not self._taken.over:
            self._room.clear()
            sent = self._relay.splice.put(self._taken, rest)
            rest = rest[sent:]
            self._relay.flush()
            if not rest:
                await self._relay.drain()
                return
            await self._room.wait()
        raise ConnectionResetError("the client has gone")
