"""What a client lends, called over the stream of its session: gRPC in place.

The stream carries HTTP/2 in which the daemon is the client. It goes through one loop over frames
(`rpc.http2`), and messages come out in the batches in which they arrive: a task or a future for
each of them would cost more than all that is done with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from croze import errors
from croze.aio.parallel import first_error
from croze.rpc.bytestream import ByteStream, PushedBytes
from croze.rpc.client_call import Caller, ClientCall, timeout_header
from croze.rpc.http2.client import ClientConnection
from croze.rpc.http2.frames import ConnectionBroken
from croze.rpc.http2.messages import INTERNAL
from croze.rpc.http2.stream import Headers
from croze.rpc.status import from_status, from_stream_status, status
from croze.session.contract import Metadata, Q, R
from croze.session.messages import decode

_DEADLINE_EXCEEDED = 4
_GONE = "error reading from server: EOF"
_PASSED_ON = (
    "/moby.filesync.v1.FileSync/",
    "/moby.filesync.v1.FileSend/",
    "/moby.upload.v1.Upload/",
)
"""What a client ends these with BuildKit tells its user as it came."""
_FAREWELL_S = 1.0
_WRITE_BYTES = 512 << 10
"""More than waits to be written of messages, heads of frames and all: they go in one piece."""


class SessionTunnel:
    """What `contract.Calls` promises, while `run` runs."""

    def __init__(self, connection: ByteStream | PushedBytes) -> None:
        self._bytes = connection
        self._http = ClientConnection()
        self._caller = Caller(self._http, self._wake, gone=_GONE, agent="crozed")
        self._ending = False
        self._to_write = asyncio.Event()
        self._to_write.set()

    async def run(self) -> None:
        """Carry calls until either side has ended the stream. Raises `errors.InvalidRequest` for
        what is no HTTP/2, and `OSError` for a stream that broke."""
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
            if isinstance(self._bytes, PushedBytes):
                await self._bytes.push(self._take)
                return
            while data := await self._bytes.read():
                self._take(data)
        except ConnectionBroken as error:
            raise errors.InvalidRequest(f"invalid HTTP/2 in a session: {error}") from None

    def _take(self, data: bytes) -> None:
        self._http.receive(data)
        self._wake()

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
        async with self._opened(method, metadata, timeout_header(timeout_s)) as call:
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
    async def stream(self, method: str, metadata: Metadata = ()) -> AsyncIterator[ClientCall]:
        """See `Calls.stream`."""
        failure = from_stream_status if method.startswith(_PASSED_ON) else from_status
        call = await self._caller.open(method, metadata, failure=failure)
        try:
            yield call
        finally:
            call.close()

    @asynccontextmanager
    async def _opened(
        self, method: str, metadata: Metadata, more: Headers = ()
    ) -> AsyncIterator[ClientCall]:
        call = await self._caller.open(method, metadata, more)
        try:
            yield call
        finally:
            call.close()


def _error(code: int, message: str) -> errors.CrozeError:
    return from_status(status(code, message))
