"""One gRPC call that this process serves, as its handler sees it."""

from __future__ import annotations

import asyncio
import base64
import binascii
import functools
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Generic, NoReturn, TypeAlias, TypeVar

from google.protobuf.message import DecodeError

from croze.rpc.http2.messages import (
    INTERNAL,
    OK,
    RESOURCE_EXHAUSTED,
    StreamBroken,
    Unpacking,
    prefixed,
    prefixed_pieces,
)
from croze.rpc.http2.pushing import pushed
from croze.rpc.http2.server import ServerConnection, ServerStream, encoded
from croze.rpc.library import grpc
from croze.rpc.limits import MESSAGE_LIMIT_BYTES
from croze.rpc.status import NUMBERS, RpcStatus, status

Q = TypeVar("Q")

Metadata: TypeAlias = "tuple[tuple[str, str | bytes], ...]"

_NO_METADATA = frozenset(("te", "content-type"))
_UNITS_S = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}


class ServerCall:
    """What handlers use of `grpc.aio.ServicerContext`, which it stands in for."""

    def __init__(
        self,
        http: ServerConnection,
        stream: ServerStream,
        wake: Callable[[], None],
        serialize: Callable[[object], bytes] | None,
    ) -> None:
        """`wake` is called when there is something to write."""
        self._http = http
        self.stream = stream
        self._wake = wake
        self._serialize = serialize
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        stream.on_news = self._news.set
        stream.on_room = self._room.set
        self.outcome: RpcStatus | None = None
        """What it is to end with, once that is known."""
        self.trailers: Metadata = ()
        self._unpacking = Unpacking(stream.incoming.limit_bytes)

    # -- what handlers call --

    def invocation_metadata(self) -> Metadata:
        """What came with the call; binary values are bytes."""
        return tuple(
            (key, _binary(value) if key.endswith("-bin") else value)
            for key, value in self.stream.headers
            if key not in _NO_METADATA and not key.startswith((":", "grpc-"))
        )

    def code(self) -> grpc.StatusCode | None:
        """The status that the call ends with; None while that is not known, or if it ends well."""
        return None if self.outcome is None else NUMBERS[self.outcome.code]

    async def send_initial_metadata(self, metadata: Iterable[tuple[str, str | bytes]]) -> None:
        self._http.answer(self.stream, [encoded(*pair) for pair in metadata])
        self._wake()

    async def write(self, message: object) -> None:
        """Waits while the peer takes nothing. Raises `ConnectionResetError` if it has gone."""
        await self.send(self.serialized(message))

    async def abort(
        self, code: grpc.StatusCode, details: str = "", trailing_metadata: Metadata = ()
    ) -> NoReturn:
        """End the call with this status. Always raises."""
        self.outcome = status(code.value[0], details)
        self.trailers = tuple(trailing_metadata)
        raise grpc.aio.AbortError(details)

    # -- what else there is --

    def timeout_s(self) -> float | None:
        """How many seconds the peer waits for the call's end, from its beginning on; None without
        end."""
        text = dict(self.stream.headers).get("grpc-timeout", "")
        number, unit = text[:-1], text[-1:]
        if unit not in _UNITS_S or not (number.isascii() and number.isdecimal()):
            return None
        return int(number[:8]) * _UNITS_S[unit]

    def serialized(self, message: object) -> bytes:
        """The bytes of a message. Raises `CallBroken` for more of them than any peer takes."""
        if self._serialize is not None:
            data = self._serialize(message)
        else:
            assert isinstance(message, bytes)
            data = message
        if len(data) > MESSAGE_LIMIT_BYTES:
            sizes = f"({len(data)} vs. {MESSAGE_LIMIT_BYTES})"
            message = f"grpc: trying to send message larger than max {sizes}"
            raise CallBroken(status(RESOURCE_EXHAUSTED, message))
        return data

    async def send(self, *messages: bytes) -> None:
        """Write messages that are serialised already, as `write` does."""
        await self._send(prefixed(*messages))

    async def _send(self, data: bytes | memoryview) -> None:
        self._http.answer(self.stream)
        rest = memoryview(data)
        while self.stream.ended is None:
            self._room.clear()
            sent = self._http.send(self.stream, rest)
            self._wake()
            rest = rest[sent:]
            if not rest:
                return
            await self._room.wait()
        raise ConnectionResetError("the client has gone")

    async def send_pieces(self, first: bytes, *others: bytes | memoryview) -> None:
        """One message that is serialised, in pieces, of which only the first is copied: they must
        not change. See `write`."""
        for piece in prefixed_pieces(first, *others):
            await self._send(piece)

    async def receive(self) -> Sequence[bytes]:
        """The messages that have come, at least one; none at their end. Raises `CallBroken`."""
        while not (self.stream.incoming.whole or self._unpacking.waiting):
            if self._is_over():
                return ()
            self._news.clear()
            await self._news.wait()
        return self._take()

    def _take(self) -> Sequence[bytes]:
        messages = [] if self._unpacking.waiting else self._http.take(self.stream)
        self._wake()
        if not self.stream.incoming.may_be_packed:
            return messages
        try:
            return self._unpacking.unpacked(messages)
        except StreamBroken as error:
            raise CallBroken(error.status) from None

    def _is_over(self) -> bool:
        stream = self.stream
        if stream.heard_all and stream.incoming.is_cut:
            raise CallBroken(status(INTERNAL, "unexpected EOF"))
        if not stream.heard_all and stream.ended is not None:
            raise CallBroken(stream.ended)
        return stream.heard_all

    async def push(self, take: Callable[[Sequence[bytes]], None]) -> None:
        """Hand over messages as soon as they come, until their end; instead of `receive`, and
        raises what it does, or what `take` raises."""
        stream = self.stream

        def hand_over() -> bool:
            while stream.incoming.whole or self._unpacking.waiting:
                take(self._take())
            return stream.heard_all or stream.ended is not None

        await pushed(stream, hand_over)
        self._is_over()

    async def finish(self) -> None:
        """Send the call's status, as soon as the peer has read enough of what came before."""
        while self._http.is_full and self.stream.ended is None:
            self._room.clear()
            await self._room.wait()
        more = [encoded(*pair) for pair in self.trailers]
        self._http.finish(self.stream, self.outcome or _well(), more)
        self._wake()


@functools.cache
def _well() -> RpcStatus:
    return status(OK)


class CallBroken(Exception):
    """A call ends with this status, whatever its handler does."""

    def __init__(self, outcome: RpcStatus) -> None:
        super().__init__(outcome.message)
        self.outcome = outcome


class Requests(Generic[Q]):
    """The messages of a call that sends many: an asynchronous iterator, to be read once."""

    def __init__(self, call: ServerCall, deserialize: Callable[[bytes], Q]) -> None:
        self._call = call
        self._deserialize = deserialize
        self._ready: deque[Q] = deque()

    def __aiter__(self) -> AsyncIterator[Q]:
        return self

    async def __anext__(self) -> Q:
        if not self._ready:
            self._ready.extend(await self.batch())
        if not self._ready:
            raise StopAsyncIteration
        return self._ready.popleft()

    async def push_raw(self, take: Callable[[Sequence[bytes]], None]) -> None:
        """Hand over all, as they are, as soon as they come, until their end. In place of others."""
        await self._call.push(take)

    async def batch(self) -> Sequence[Q]:
        """All that have come, at least one; none at the end."""
        if self._ready:
            ready, self._ready = self._ready, deque()
            return tuple(ready)
        messages = await self._call.receive()
        try:
            return list(map(self._deserialize, messages))
        except DecodeError as error:
            raise _unreadable(error) from None


def read(deserialize: Callable[[bytes], Q], data: bytes) -> Q:
    """The message in its bytes. Raises `CallBroken` for what is no such message."""
    try:
        return deserialize(data)
    except DecodeError as error:
        raise _unreadable(error) from None


def _unreadable(error: DecodeError) -> CallBroken:
    return CallBroken(status(INTERNAL, f"grpc: error unmarshalling request: {error}"))


def _binary(value: str) -> bytes:
    try:
        return base64.b64decode(value + "=" * (-len(value) % 4), validate=True)
    except (binascii.Error, ValueError):
        return b""
