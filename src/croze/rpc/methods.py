"""The methods that a channel's peer has, as generated stubs call them.

They stand in for `grpc.aio`'s "multi callables". All raise `grpc.aio.AioRpcError` for a call that
fails.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Final, Generic, Protocol, TypeVar

from google.protobuf.message import DecodeError

from croze.errors import Unavailable
from croze.rpc.client_call import ClientCall
from croze.rpc.clients import call_error
from croze.rpc.http2.messages import INTERNAL, RESOURCE_EXHAUSTED
from croze.rpc.http2.stream import Headers
from croze.rpc.library import grpc
from croze.rpc.limits import MESSAGE_LIMIT_BYTES
from croze.rpc.status import status

RETRY_S: Final = 0.05
"""How soon after a first refusal the next attempt comes, where a daemon is waited for; later ones
take their time, for behind an address there may be a command that is started for each."""
_SLOWER: Final = 1.6
_MOST_RETRY_S: Final = 5.0
_DEADLINE_EXCEEDED: Final = 4

Q = TypeVar("Q")
R = TypeVar("R")
Metadata = Iterable[tuple[str, str]]


class Opens(Protocol):
    """Whatever opens calls by the path of a method, such as a channel."""

    async def open(
        self, method: str, metadata: Metadata = (), timeout_s: float | None = None
    ) -> ClientCall:
        """Begin a call of `/package.Service/Method`, which ends with DEADLINE_EXCEEDED after
        `timeout_s`."""


class Method(Generic[Q, R]):
    """A method of the peer, with requests of type Q and responses of type R."""

    def __init__(
        self,
        channel: Opens,
        path: str,
        serialize: Callable[[Q], bytes] | None,
        deserialize: Callable[[bytes], R] | None,
    ) -> None:
        """The full path is `/package.Service/Method`. Without `serialize` or `deserialize` requests
        or answers are bytes."""
        self._channel = channel
        self._path = path
        self._serialize = serialize
        self._deserialize = deserialize

    async def open(self, metadata: Metadata | None, timeout_s: float | None = None) -> ClientCall:
        return await self._channel.open(self._path, metadata or (), timeout_s)

    def data(self, request: Q) -> bytes:
        """The bytes of a request. Raises `AioRpcError` for more of them than any daemon takes."""
        data = self._serialize(request) if self._serialize is not None else request
        assert isinstance(data, bytes)
        if len(data) > MESSAGE_LIMIT_BYTES:
            sizes = f"({len(data)} vs. {MESSAGE_LIMIT_BYTES})"
            message = f"trying to send message larger than max {sizes}"
            raise call_error(status(RESOURCE_EXHAUSTED, message))
        return data

    def answer(self, data: bytes) -> R:
        """The answer in its bytes. Raises `AioRpcError` for what is no such answer."""
        if self._deserialize is None:
            return data  # type: ignore[return-value]  # R is bytes then
        try:
            return self._deserialize(data)
        except DecodeError as error:
            message = f"grpc: failed to unmarshal the received message: {error}"
            raise call_error(status(INTERNAL, message)) from None

    async def only_answer(self, call: ClientCall) -> R:
        """The answer to a question that has one. Raises `grpc.RpcError` (INTERNAL) if there are
        more, or none."""
        answers: list[bytes] = []
        while batch := await call.receive():
            answers += batch
            if len(answers) > 1:
                break
        if len(answers) != 1:
            raise call_error(status(INTERNAL, f"{len(answers)} answers to one question"))
        return self.answer(answers[0])

    async def send_all(self, call: ClientCall, requests: AsyncIterator[Q]) -> None:
        """What is asked, to its end or the call's."""
        with suppress(Unavailable):  # it has been answered already
            async for each in requests:
                await call.send(self.data(each))
            await call.done_sending()


class UnaryUnary(Generic[Q, R]):
    """A unary call: one request, one response."""

    def __init__(self, method: Method[Q, R]) -> None:
        self._method = method

    async def __call__(
        self,
        request: Q,
        *,
        timeout: float | None = None,
        metadata: Metadata | None = None,
        wait_for_ready: bool = False,
    ) -> R:
        """After `timeout` seconds it has failed. With `wait_for_ready` a daemon that can't be
        reached is tried until then."""
        data = self._method.data(request)
        try:
            async with asyncio.timeout(timeout) as deadline:
                if wait_for_ready:
                    return await self._patient(data, metadata, timeout)
                return await self._ask(data, metadata, timeout)
        except TimeoutError:
            if not deadline.expired():
                raise
            raise call_error(status(_DEADLINE_EXCEEDED, "context deadline exceeded")) from None

    async def _patient(self, data: bytes, metadata: Metadata | None, timeout_s: float | None) -> R:
        pause_s = RETRY_S
        while True:
            try:
                return await self._ask(data, metadata, timeout_s)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * _SLOWER, _MOST_RETRY_S)

    async def _ask(self, data: bytes, metadata: Metadata | None, timeout_s: float | None) -> R:
        """What the peer has not looked at is asked again, once."""
        call = await self._method.open(metadata, timeout_s)
        try:
            return await self._answer(call, data)
        except grpc.aio.AioRpcError:
            if not call.is_unseen:
                raise
        return await self._answer(await self._method.open(metadata, timeout_s), data)

    async def _answer(self, call: ClientCall, data: bytes) -> R:
        try:
            await _send_last(call, data)
            return await self._method.only_answer(call)
        finally:
            call.close()


class StreamUnary(Generic[Q, R]):
    """A client-streaming call: many requests, one response."""

    def __init__(self, method: Method[Q, R]) -> None:
        self._method = method

    async def __call__(self, requests: AsyncIterator[Q], *, metadata: Metadata | None = None) -> R:
        call = await self._method.open(metadata)
        try:
            await self._method.send_all(call, requests)
            return await self._method.only_answer(call)
        finally:
            call.close()


class UnaryStream(Generic[Q, R]):
    """A server-streaming call: one request, many responses."""

    def __init__(self, method: Method[Q, R]) -> None:
        self._method = method

    def __call__(self, request: Q, *, metadata: Metadata | None = None) -> Answers[R]:
        method, data = self._method, self._method.data(request)

        async def begin() -> ClientCall:
            call = await method.open(metadata)
            try:
                await _send_last(call, data)
            except BaseException:
                call.close()
                raise
            return call

        return Answers(begin, method.answer)


class StreamStream(Generic[Q, R]):
    """A bidirectional streaming call: requests and responses at the same time."""

    def __init__(self, method: Method[Q, R]) -> None:
        self._method = method

    def __call__(
        self, requests: AsyncIterator[Q], *, metadata: Metadata | None = None
    ) -> Answers[R]:
        method = self._method

        async def begin() -> ClientCall:
            return await method.open(metadata)

        return Answers(begin, method.answer, lambda call: method.send_all(call, requests))


class Answers(Generic[R]):
    """The answers of a call, which begins when the first of them is waited for: an asynchronous
    iterator, to be read once."""

    def __init__(
        self,
        begin: Callable[[], Awaitable[ClientCall]],
        read: Callable[[bytes], R],
        send: Callable[[ClientCall], Awaitable[None]] | None = None,
    ) -> None:
        self._begin = begin
        self._read = read
        self._send = send
        self._call: ClientCall | None = None
        self._sending: asyncio.Future[None] | None = None
        self._ready: deque[bytes] = deque()
        self._may_ask_again = send is None

    def __aiter__(self) -> AsyncIterator[R]:
        return self

    async def __anext__(self) -> R:
        if not self._ready:
            self._ready.extend(await self._received())
        if not self._ready:
            raise StopAsyncIteration
        return self._read(self._ready.popleft())

    async def _received(self) -> Sequence[bytes]:
        """A question that the peer has not looked at is asked again, once."""
        call = await self._begun()
        try:
            return await call.receive()
        except grpc.aio.AioRpcError:
            self._raise_why_not_sent()
            if not (call.is_unseen and self._may_ask_again):
                raise
        self._call, self._may_ask_again = None, False
        return await (await self._begun()).receive()

    async def initial_metadata(self) -> Headers:
        """The response headers (gRPC's initial metadata), as soon as they come."""
        return await (await self._begun()).initial_metadata()

    def cancel(self) -> None:
        """Cancel the call: no more responses are wanted. Idempotent."""
        if self._sending is not None:
            self._sending.cancel()
        if self._call is not None:
            self._call.close()

    def __del__(self) -> None:
        self.cancel()

    async def _begun(self) -> ClientCall:
        if self._call is None:
            call = self._call = await self._begin()
            if self._send is not None:
                sending = asyncio.ensure_future(self._send(call))  # noqa: TID251 - `cancel` ends it
                sending.add_done_callback(lambda task: _end_unsent(call, task))
                self._sending = sending
        return self._call

    def _raise_why_not_sent(self) -> None:
        """Raise what has ended those who send, if that is why the call has ended."""
        sending = self._sending
        if sending is None or not sending.done() or sending.cancelled():
            return
        if (error := sending.exception()) is not None:
            raise error


def _end_unsent(call: ClientCall, sending: asyncio.Future[None]) -> None:
    if not sending.cancelled() and sending.exception() is not None:
        call.close()


async def _send_last(call: ClientCall, data: bytes) -> None:
    with suppress(Unavailable):  # it has been answered already
        await call.send_last(data)
