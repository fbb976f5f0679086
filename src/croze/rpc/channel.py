"""The client's side of gRPC: calls on one connection to a daemon, in the event loop.

It stands in for `grpc.aio.Channel`, whose library has threads, which no fork survives, and takes
milliseconds to begin with and half of one for each call.
"""

from __future__ import annotations

import asyncio
import asyncio.trsock
from collections.abc import Callable
from socket import AF_UNIX
from types import TracebackType
from typing import TYPE_CHECKING, Final, TypeVar

from croze.aio.dialling import reason
from croze.rpc.addresses import NotConnected, authority, connect, not_connected
from croze.rpc.client_call import Caller, ClientCall, timeout_header
from croze.rpc.clients import call_error
from croze.rpc.http2.client import ClientConnection
from croze.rpc.http2.frames import ConnectionBroken
from croze.rpc.http2.messages import UNAVAILABLE
from croze.rpc.library import grpc
from croze.rpc.limits import HEADERS_LIMIT_BYTES
from croze.rpc.methods import (
    Metadata,
    Method,
    StreamStream,
    StreamUnary,
    UnaryStream,
    UnaryUnary,
)
from croze.rpc.status import status
from croze.rpc.tls import Secure
from croze.version import VERSION

if TYPE_CHECKING:
    _Base = grpc.aio.Channel  # for those who make calls: generated stubs
else:
    _Base = object

GREETING_S: Final = 20.0
"""How long a daemon may take to say what it speaks."""
REST_S: Final = 1.0
"""For how long it counts, at most, that there was no connection."""
_ATTEMPTS: Final = 2
LOST: Final = "error reading from server: EOF"
"""What is said of calls whose connection has ended."""

Q = TypeVar("Q")
R = TypeVar("R")


class Channel(_Base):
    """Connects with the first call, and anew with one that comes after a connection has ended. Its
    calls raise `grpc.aio.AioRpcError`. An asynchronous context manager, which closes it."""

    def __init__(self, address: str, secure: Secure | None = None) -> None:
        """`address` as `rpc.addresses` has them."""
        self.address = address
        self._secure = secure
        self._links: set[_Link] = set()
        self._link: _Link | None = None
        self._connecting = asyncio.Lock()
        self._refused = ""
        self._refused_until_s = 0.0
        self._is_closed = False

    async def __aenter__(self) -> Channel:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self, grace: float | None = None) -> None:
        """End the connection and all its calls at once, whatever `grace`; no call can be made
        afterwards."""
        self._is_closed = True
        for link in tuple(self._links):
            link.close()

    async def open(
        self, method: str, metadata: Metadata = (), timeout_s: float | None = None
    ) -> ClientCall:
        """Begin a call of any kind; to be closed. A daemon may leave a connection just then: there
        is another attempt. Raises `grpc.aio.AioRpcError`."""
        for _ in range(_ATTEMPTS):
            link = self._link
            if link is None or link.http.leaving:
                link = await self._connected()
            call = await link.caller.open_if_taken(method, metadata, timeout_header(timeout_s))
            if call is not None:
                return call
        raise call_error(status(UNAVAILABLE, LOST))

    async def socket(self) -> asyncio.trsock.TransportSocket | None:
        """The connection's own, if it is a Unix socket; None if there is no connection."""
        try:
            link = await self._connected()
        except grpc.RpcError:
            return None
        return link.socket()

    async def of_crozed(self) -> bool:
        """Whether the server says that it is a `crozed`, which it does first of all; False if there
        is no connection."""
        try:
            link = await self._connected()
        except grpc.RpcError:
            return False
        await link.met.wait()
        return link.http.of_crozed

    async def _connected(self) -> _Link:
        async with self._connecting:
            if self._is_closed:
                raise call_error(status(UNAVAILABLE, "Channel is closed"))
            if self._link is None or self._link.http.leaving:
                self._link = await self._new_link()
            return self._link

    async def _new_link(self) -> _Link:
        """What took long to fail is not tried again at once: a build makes several calls."""
        clock = asyncio.get_running_loop().time
        begun_s = clock()
        if begun_s >= self._refused_until_s:
            try:
                return await connect(self.address, self._secure, lambda: _Link(self, self._secure))
            except NotConnected as error:
                self._refused = f"{not_connected(self.address)}{error}"
                self._refused_until_s = clock() + min(clock() - begun_s, REST_S)
        raise call_error(status(UNAVAILABLE, self._refused))

    def count_link(self, link: _Link, *, is_there: bool) -> None:
        """Count a connection among those that are there, or among them no longer."""
        (self._links.add if is_there else self._links.discard)(link)

    # -- what generated stubs ask for; what they get stands in for it, too --

    def unary_unary(
        self,
        method: str,
        request_serializer: Callable[[Q], bytes] | None = None,
        response_deserializer: Callable[[bytes], R] | None = None,
        _registered_method: bool = False,
    ) -> grpc.aio.UnaryUnaryMultiCallable[Q, R]:
        return UnaryUnary(Method(self, method, request_serializer, response_deserializer))  # type: ignore[return-value]

    def stream_unary(
        self,
        method: str,
        request_serializer: Callable[[Q], bytes] | None = None,
        response_deserializer: Callable[[bytes], R] | None = None,
        _registered_method: bool = False,
    ) -> grpc.aio.StreamUnaryMultiCallable[Q, R]:
        return StreamUnary(Method(self, method, request_serializer, response_deserializer))  # type: ignore[return-value]

    def unary_stream(
        self,
        method: str,
        request_serializer: Callable[[Q], bytes] | None = None,
        response_deserializer: Callable[[bytes], R] | None = None,
        _registered_method: bool = False,
    ) -> grpc.aio.UnaryStreamMultiCallable[Q, R]:
        return UnaryStream(Method(self, method, request_serializer, response_deserializer))  # type: ignore[return-value]

    def stream_stream(
        self,
        method: str,
        request_serializer: Callable[[Q], bytes] | None = None,
        response_deserializer: Callable[[bytes], R] | None = None,
        _registered_method: bool = False,
    ) -> grpc.aio.StreamStreamMultiCallable[Q, R]:
        return StreamStream(Method(self, method, request_serializer, response_deserializer))  # type: ignore[return-value]


class _Link(asyncio.Protocol):
    """One connection."""

    def __init__(self, channel: Channel, secure: Secure | None) -> None:
        self._channel = channel
        self.http = ClientConnection(HEADERS_LIMIT_BYTES, not_connected(channel.address))
        self.caller = Caller(
            self.http,
            self._wake,
            gone=LOST,
            agent=f"croze/{VERSION}",
            scheme="http" if secure is None else "https",
            authority=authority(channel.address, secure),
            failure=call_error,
        )
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._is_paused = self._is_flushing = False
        self._greeting: asyncio.TimerHandle | None = None
        self.met = asyncio.Event()
        """Set when the peer has said what it speaks, or will not."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._channel.count_link(self, is_there=True)
        self._greeting = self._loop.call_later(GREETING_S, self._give_up)
        self._wake()

    def data_received(self, data: bytes) -> None:
        try:
            self.http.receive(data)
        except ConnectionBroken:
            self._flush()
            self.close()
            return
        if self._greeting is not None and self.http.greeted:
            self._greeting.cancel()
            self._greeting = None
            self.met.set()
        self._wake()

    def socket(self) -> asyncio.trsock.TransportSocket | None:
        """See `Channel.socket`."""
        if self._transport is None:
            return None
        sock: asyncio.trsock.TransportSocket | None = self._transport.get_extra_info("socket")
        return sock if sock is not None and sock.family == AF_UNIX else None

    def pause_writing(self) -> None:
        self._is_paused = True

    def resume_writing(self) -> None:
        self._is_paused = False
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """One that was never there tells why, as a daemon that wants a certificate does."""
        if isinstance(exc, OSError) and not self.http.greeted:
            self._end(reason(exc))
        else:
            self._end(LOST)

    def close(self) -> None:
        """Close it now; what is to be said is."""
        if self._transport is not None:
            self._flush()
            self._transport.close()
        self._end(LOST)

    def _give_up(self) -> None:
        self._end("timed out before it said what it speaks")
        if self._transport is not None:
            self._transport.abort()

    def _end(self, why: str) -> None:
        if self._greeting is not None:
            self._greeting.cancel()
        self.met.set()
        self._transport = None
        self._channel.count_link(self, is_there=False)
        self.http.close(why)

    def _wake(self) -> None:
        """What is added until the loop's next turn is written at once with it."""
        if self.http.is_done and self._transport is not None:
            self.close()
            return
        is_due = self.http.pending_bytes and not self._is_flushing and not self._is_paused
        if is_due and self._transport is not None:
            self._is_flushing = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._is_flushing = False
        if self._transport is not None and not self._is_paused and (data := self.http.outgoing()):
            self._transport.write(data)
