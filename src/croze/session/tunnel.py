"""What a client lends, called over the stream of its session: gRPC in place.

The stream carries HTTP/2 in which the daemon is the client. It goes through one loop over frames
(`rpc.http2`), and messages come out in the batches in which they arrive: a task or a future for
each of them would cost more than all that is done with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager

from croze import errors
from croze.aio.parallel import first_error
from croze.rpc.http2.client import ClientConnection, ClientStream
from croze.rpc.http2.frames import ConnectionBroken
from croze.rpc.http2.messages import INTERNAL, OK, UNAVAILABLE, prefixed
from croze.rpc.server import ByteStream
from croze.rpc.status import from_status, status
from croze.session.contract import Metadata, Q, R
from croze.session.messages import decode

_DEADLINE_EXCEEDED = 4
_GONE = "error reading from server: EOF"
_FAREWELL_S = 1.0
_WRITE_BYTES = 256 << 10


class Tunnel:
    """What `contract.Calls` promises, while `run` runs."""

    def __init__(self, connection: ByteStream) -> None:
        self._bytes = connection
        self._http = ClientConnection()
        self._http.on_room = self._let_in
        self._ending = False
        self._to_write = asyncio.Event()
        self._to_write.set()
        self._waiting: list[asyncio.Future[None]] = []

    async def run(self) -> None:
        """Until either side has ended the stream. Raises `errors.InvalidRequest` for what is no
        HTTP/2, and `OSError` for a stream that broke."""
        try:
            async with first_error(), asyncio.TaskGroup() as group:
                writing = group.create_task(self._write())
                try:
                    await self._read()
                finally:
                    # Not cut off amid a write: gRPC could not even say how the session ends.
                    self._ending = True
                    self._to_write.set()
                    await asyncio.wait([writing], timeout=_FAREWELL_S)
                    writing.cancel()
        finally:
            self._http.close(_GONE)

    async def _read(self) -> None:
        try:
            while data := await self._bytes.read():
                self._http.receive(data)
                self._wake()
        except ConnectionBroken as error:
            raise errors.InvalidRequest(f"invalid HTTP/2 in a session: {error}") from None

    async def _write(self) -> None:
        while not self._ending or self._http.pending_bytes:
            await self._to_write.wait()
            self._to_write.clear()
            data = self._http.outgoing()
            for start in range(0, len(data), _WRITE_BYTES):
                await self._bytes.write(data[start : start + _WRITE_BYTES])

    def _wake(self) -> None:
        if self._http.pending_bytes:
            self._to_write.set()

    def _let_in(self) -> None:
        for future in self._waiting:
            if not future.done():
                future.set_result(None)

    # -- calls --

    async def ask(
        self,
        method: str,
        request: Q,
        answer: type[R],
        *,
        metadata: Metadata = (),
        timeout_s: float | None = None,
    ) -> R:
        """See `Calls.ask`."""
        try:
            async with asyncio.timeout(timeout_s) as deadline:
                data = await self._ask(method, request.SerializeToString(), metadata, timeout_s)
        except TimeoutError:
            if not deadline.expired():
                raise
            raise _error(_DEADLINE_EXCEEDED, "context deadline exceeded") from None
        return decode(answer, data)

    async def _ask(
        self, method: str, request: bytes, metadata: Metadata, timeout_s: float | None
    ) -> bytes:
        limit = (
            () if timeout_s is None else (("grpc-timeout", f"{max(1, int(timeout_s * 1000))}m"),)
        )
        async with self._opened(method, metadata, limit) as call:
            await call.send_last(request)
            answers: list[bytes] = []
            while batch := await call.receive():
                answers += batch
                if len(answers) > 1:
                    break
        if len(answers) != 1:
            raise _error(INTERNAL, f"{len(answers)} answers to one question")
        return answers[0]

    @asynccontextmanager
    async def stream(self, method: str, metadata: Metadata = ()) -> AsyncIterator[Call]:
        """See `Calls.stream`."""
        async with self._opened(method, metadata) as call:
            yield call

    @asynccontextmanager
    async def _opened(
        self, method: str, metadata: Metadata, more: Iterable[tuple[str, str]] = ()
    ) -> AsyncIterator[Call]:
        headers = [*_pseudo(method), *more, *(_header(key, value) for key, value in metadata)]
        while not self._http.has_room and not self._http.leaving:
            await self._room()
        if self._http.leaving:
            raise _error(UNAVAILABLE, _GONE)
        call = Call(self._http, self._http.open(headers), self._wake)
        self._wake()
        try:
            yield call
        finally:
            self._http.forget(call.stream)
            self._wake()

    async def _room(self) -> None:
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        try:
            await future
        finally:
            self._waiting.remove(future)


class Call:
    """What `contract.Stream` promises."""

    def __init__(
        self, http: ClientConnection, stream: ClientStream, wake: Callable[[], None]
    ) -> None:
        self._http = http
        self.stream = stream
        self._wake = wake
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        stream.on_news = self._news.set
        stream.on_room = self._room.set

    async def send(self, *messages: bytes) -> None:
        """See `Stream.send`."""
        await self._send(prefixed(*messages))

    async def send_last(self, message: bytes) -> None:
        """One message, and the end of them."""
        await self._send(prefixed(message), end=True)

    async def done_sending(self) -> None:
        """See `Stream.done_sending`."""
        if self.stream.ended is None:
            await self._send(b"", end=True)

    async def _send(self, data: bytes, *, end: bool = False) -> None:
        rest = memoryview(data)
        while self.stream.ended is None:
            self._room.clear()
            sent = self._http.send(self.stream, rest, end=end)
            self._wake()
            rest = rest[sent:]
            if not rest and self.stream.sent_all >= end:
                return
            await self._room.wait()
        if self.stream.ended.code == OK:
            raise errors.Unavailable("the other side ended the call too early")
        raise from_status(self.stream.ended)

    async def receive(self) -> Sequence[bytes]:
        """See `Stream.receive`."""
        while not self.stream.incoming.whole:
            ended = self.stream.ended
            if ended is not None:
                if ended.code == OK:
                    return ()
                raise from_status(ended)
            self._news.clear()
            await self._news.wait()
        taken = self._http.take(self.stream)
        self._wake()
        return taken

    def close(self) -> None:
        self._http.forget(self.stream)
        self._wake()


def _error(code: int, message: str) -> errors.CrozeError:
    return from_status(status(code, message))


def _pseudo(method: str) -> tuple[tuple[str, str], ...]:
    return (
        (":method", "POST"),
        (":scheme", "http"),
        (":path", method),
        (":authority", "localhost"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        ("user-agent", "crozed"),
    )


def _header(key: str, value: str) -> tuple[str, str]:
    """Raises `errors.InvalidRequest` for what no header can hold, in the words of Go's gRPC."""
    if not (value.isascii() and value.isprintable()):
        raise errors.InvalidRequest(
            f'header key "{key}" contains value with non-printable ASCII characters'
        )
    return key, value
