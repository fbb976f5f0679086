"""One gRPC call that this process makes, as who makes it sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from croze import errors
from croze.rpc.http2.client import ClientConnection, ClientStream
from croze.rpc.http2.messages import (
    OK,
    UNAVAILABLE,
    StreamBroken,
    Unpacking,
    prefixed,
    prefixed_pieces,
)
from croze.rpc.http2.pushing import pushed
from croze.rpc.http2.stream import Headers
from croze.rpc.status import RpcStatus, from_status, status

_LONGEST_MS: Final = 10**8 - 1
"""A header has eight digits at most."""

Failure = Callable[[RpcStatus], Exception]
"""What is raised for a call that has failed."""


class Caller:
    """Opens calls on a connection."""

    def __init__(
        self,
        http: ClientConnection,
        wake: Callable[[], None],
        *,
        gone: str,
        agent: str,
        scheme: str = "http",
        authority: str = "localhost",
        failure: Failure = from_status,
    ) -> None:
        """`wake` is called when there is something to write. `gone` is said of calls that come
        when the peer takes no more, ever."""
        self._http = http
        self._wake = wake
        self._gone = gone
        self._failure = failure
        self._before = ((":method", "POST"), (":scheme", scheme))
        self._behind = (
            (":authority", authority),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
            ("user-agent", agent),
        )
        self._waiting: list[asyncio.Future[None]] = []
        http.on_room = self._let_in

    async def open(
        self,
        method: str,
        metadata: Iterable[tuple[str, str]] = (),
        more: Headers = (),
        *,
        failure: Failure | None = None,
    ) -> ClientCall:
        """Begin a call; to be closed. Waits until the peer takes one more. Raises the failure of a
        peer that takes none, and `errors.InvalidRequest` for metadata that can't be sent. `failure`
        is for this call alone."""
        call = await self.open_if_taken(method, metadata, more)
        if call is None:
            raise self._failure(status(UNAVAILABLE, self._gone))
        if failure is not None:
            call.failure = failure
        return call

    async def open_if_taken(
        self, method: str, metadata: Iterable[tuple[str, str]] = (), more: Headers = ()
    ) -> ClientCall | None:
        """See `open`. None of a peer that takes no calls, who has heard nothing of this one."""
        sent = [_header(key, value) for key, value in metadata]
        headers = [*self._before, (":path", method), *self._behind, *more, *sent]
        while not self._http.has_room and not self._http.leaving:
            await self._room()
        if self._http.leaving:
            return None
        call = ClientCall(self._http, self._http.open(headers), self._wake, self._failure)
        self._wake()
        return call

    async def _room(self) -> None:
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        try:
            await future
        finally:
            self._waiting.remove(future)

    def _let_in(self) -> None:
        for future in self._waiting:
            if not future.done():
                future.set_result(None)


def timeout_header(seconds: float | None) -> Headers:
    """What tells the peer how long an answer is waited for."""
    if seconds is None:
        return ()
    return (("grpc-timeout", f"{min(max(1, int(seconds * 1000)), _LONGEST_MS)}m"),)


class ClientCall:
    """An open call. Whoever waits for it gets the error that it fails with."""

    def __init__(
        self,
        http: ClientConnection,
        stream: ClientStream,
        wake: Callable[[], None],
        failure: Failure = from_status,
    ) -> None:
        self._http = http
        self.stream = stream
        self._wake = wake
        self.failure = failure
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._unsent = memoryview(b"")
        self._unpacking = Unpacking(stream.incoming.limit_bytes)
        stream.on_news = self._news.set
        stream.on_room = self._on_room

    async def send(self, *messages: bytes) -> None:
        """Waits while the peer does not take them. From one task at a time. Raises the failure that
        the peer has ended the call with, and `errors.Unavailable` if it has ended it well."""
        await self._send(prefixed(*messages))

    async def send_pieces(self, first: bytes, *others: bytes | memoryview) -> None:
        """One message that is in pieces, of which only the first is copied: they must not change.
        See `send`."""
        for piece in prefixed_pieces(first, *others):
            await self._send(piece)

    async def send_last(self, message: bytes) -> None:
        """Send one message and half-close: no more follow."""
        await self._send(prefixed(message), end=True)

    async def done_sending(self) -> None:
        """Tell the peer that there is nothing more to send. Nothing happens if the peer has ended
        the call."""
        if self.stream.ended is None:
            await self._send(b"", end=True)

    @property
    def is_clear(self) -> bool:
        """Whether everything queued for this call has been written."""
        return not self._unsent

    def send_now(self, message: bytes) -> None:
        """Send a message at once; only when it `is_clear`. After the call's end the message is
        dropped."""
        self._unsent = memoryview(prefixed(message))
        self._on_room()

    async def receive(self) -> Sequence[bytes]:
        """All messages that have come, at least one; none when the peer has ended the call well.
        From one task at a time, and may be cancelled without losing any. Raises the failure that
        the peer has ended it with."""
        while not self._has_some:
            if self._is_over():
                return ()
            self._news.clear()
            await self._news.wait()
        return self._take()

    @property
    def is_unseen(self) -> bool:
        """See `ClientStream.is_unseen`."""
        return self.stream.is_unseen

    async def push(self, take: Callable[[Sequence[bytes]], None]) -> None:
        """Hand over messages as soon as they come, until the end; instead of `receive`, and raises
        what it does, or what `take` raises."""

        def hand_over() -> bool:
            self._news.set()
            while self._has_some:
                take(self._take())
            return self.stream.ended is not None

        await pushed(self.stream, hand_over)
        self._is_over()

    async def initial_metadata(self) -> Headers:
        """The headers of the answer, as soon as they come; none if it ends without. Raises the
        failure that it ends with."""
        while self.stream.headers is None and not self._is_over():
            self._news.clear()
            await self._news.wait()
        return self.stream.headers or ()

    def close(self) -> None:
        """Cancel the call: no more answers are wanted. Idempotent."""
        self._http.forget(self.stream)
        self._wake()

    @property
    def _has_some(self) -> bool:
        return bool(self.stream.incoming.whole or self._unpacking.waiting)

    def _take(self) -> Sequence[bytes]:
        if self._unpacking.waiting:
            messages: list[bytes] = []
        else:
            messages = self._http.take(self.stream)
            self._wake()
        if not self.stream.incoming.may_be_packed:
            return messages
        try:
            return self._unpacking.unpacked(messages)
        except StreamBroken as error:
            raise self.failure(error.status) from None

    def _is_over(self) -> bool:
        ended = self.stream.ended
        if ended is not None and ended.code != OK:
            raise self.failure(ended)
        return ended is not None

    def _on_room(self) -> None:
        if self._unsent:
            if self.stream.ended is None:
                sent = self._http.send(self.stream, self._unsent)
                self._unsent = self._unsent[sent:]
                self._wake()
            else:
                self._unsent = memoryview(b"")
        self._room.set()

    async def _send(self, data: bytes | memoryview, *, end: bool = False) -> None:
        rest = memoryview(data)
        while self.stream.ended is None:
            self._room.clear()
            if not self._unsent:
                sent = self._http.send(self.stream, rest, end=end)
                self._wake()
                rest = rest[sent:]
                if not rest and self.stream.sent_all >= end:
                    return
            await self._room.wait()
        if self._is_over():
            raise errors.Unavailable("the other side ended the call too early")


def _header(key: str, value: str) -> tuple[str, str]:
    """A header of a call. Raises `errors.InvalidRequest` for what no header can hold, in the words
    of Go's gRPC."""
    if not (value.isascii() and value.isprintable()):
        raise errors.InvalidRequest(
            f'header key "{key}" contains value with non-printable ASCII characters'
        )
    return key, value
