"""A gRPC server on any stream of bytes, in this process's own event loop.

gRPC's library serves sockets alone, from threads of its own, and takes a millisecond for each call
and a tenth of one for each message, whatever is in them. Here frames are worked off as they come
(`rpc.http2`), each call is a task, and nothing lies in between.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, aclosing, nullcontext
from typing import Any, Final, TypeVar

from msgspec import Struct

from croze.aio.share import TimeShare
from croze.errors import CrozeError
from croze.rpc.bytestream import ByteStream, PromptBytes
from croze.rpc.call import CallBroken, Requests, ServerCall, read
from croze.rpc.http2.connection import HEADERS_LIMIT_BYTES
from croze.rpc.http2.frames import ConnectionBroken
from croze.rpc.http2.messages import INTERNAL, UNAVAILABLE, UNIMPLEMENTED, UNKNOWN
from croze.rpc.http2.server import STREAMS, Allowance, ServerConnection, ServerStream
from croze.rpc.library import grpc
from croze.rpc.limits import MESSAGE_LIMIT_BYTES
from croze.rpc.served import ServedMethod, served_method
from croze.rpc.status import as_croze_error, status

log = logging.getLogger(__name__)

FAREWELL_S: Final = 1.0
_WRITE_BYTES: Final = 512 << 10
_TURN_BYTES: Final = 16 << 10
_DEADLINE_EXCEEDED: Final = 4

S = TypeVar("S")
Watch = Callable[[str, ServerCall], AbstractContextManager[None]]
"""Entered around the work of each call, of a method such as `moby.buildkit.v1.Control/Solve`."""


class Patience(Struct, frozen=True):
    """How long a peer may take to say what it speaks, and may stay without a call; for sockets, of
    which there are only so many."""

    greeting_s: float = 10.0
    idle_s: float = 600.0


class Server:
    """The services, and the connections on which they are served."""

    def __init__(
        self,
        watch: Watch | None = None,
        *,
        patience: Patience | None = None,
        streams: int = STREAMS,
        headers_limit_bytes: int = HEADERS_LIMIT_BYTES,
        message_limit_bytes: int = MESSAGE_LIMIT_BYTES,
        together: Allowance | None = None,
        share: TimeShare | None = None,
        is_crozed: bool = False,
    ) -> None:
        """`streams` calls at once on a connection, whose headers and messages have so many bytes at
        most. `together` is for all connections; without it each has its own. With a `share`, which
        is for strangers, what comes is worked off within that. One that `is_crozed` says so."""
        self.watch = watch
        self.patience = patience
        self.streams = streams
        self.headers_limit_bytes = headers_limit_bytes
        self.message_limit_bytes = message_limit_bytes
        self.together = together
        self.share = share
        self.is_crozed = is_crozed
        self.methods: dict[str, ServedMethod] = {}
        self.services: set[str] = set()
        self._unloaded: dict[str, Callable[[], None]] = {}
        self.is_stopping = False
        self._peers: set[_Peer] = set()
        self._left = asyncio.Event()

    def add(self, add: Callable[[S, grpc.aio.Server], None], servicer: S) -> None:
        """Serve what a generated function such as `add_ControlServicer_to_server` adds."""
        add(servicer, _Tables(self))  # type: ignore[arg-type]  # all that those functions want

    def add_methods(
        self, service: str, handlers: Mapping[str, grpc.RpcMethodHandler[Any, Any]]
    ) -> None:
        """Serve methods by their bare names."""
        self.services.add(service)
        for name, handler in handlers.items():
            self.methods[f"/{service}/{name}"] = served_method(f"{service}/{name}", handler)

    def add_unloaded(self, service: str, load: Callable[[], None]) -> None:
        """Serve a service that nobody may call: `load`, called with its first call, adds it. Where
        that raises, it is called again with the next."""
        self._unloaded[service] = load

    def method(self, path: str) -> ServedMethod | None:
        """The method of a path such as `/moby.buildkit.v1.Control/Solve`; None if there is none.
        Raises what keeps its service from being loaded: a file too many is open, say."""
        if path not in self.methods and self._unloaded:
            service = path.removeprefix("/").rpartition("/")[0]
            if (load := self._unloaded.get(service)) is not None:
                load()
                del self._unloaded[service]
        return self.methods.get(path)

    async def serve(self, stream: ByteStream) -> None:
        """One connection, to its end. What goes on when this is cancelled is cancelled, too."""
        peer = _Peer(self, stream)
        self._peers.add(peer)
        try:
            await peer.run()
        finally:
            self._peers.discard(peer)
            self._left.set()

    async def stop(self, grace_s: float) -> None:
        """Take no new calls; once those under way have ended, or after so long, hang up. Returns
        when there is no connection any more, or when cancelled; may be called again."""
        self.is_stopping = True
        for peer in self._peers:
            peer.go_away()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await self._gone()
        for peer in tuple(self._peers):
            peer.hang_up()
        await self._gone()

    async def _gone(self) -> None:
        while self._peers:
            self._left.clear()
            await self._left.wait()


class _Tables:
    """A server in the eyes of generated code."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def add_generic_rpc_handlers(self, handlers: Iterable[object]) -> None:
        """Do nothing: what is added so comes a second time, without names."""

    def add_registered_method_handlers(
        self, service: str, handlers: Mapping[str, grpc.RpcMethodHandler[Any, Any]]
    ) -> None:
        self._server.add_methods(service, handlers)


class _Peer:
    """One connection."""

    def __init__(self, server: Server, stream: ByteStream) -> None:
        self._server = server
        self._bytes = stream
        self._http = ServerConnection(
            self._begin,
            streams=server.streams,
            headers_limit_bytes=server.headers_limit_bytes,
            message_limit_bytes=server.message_limit_bytes,
            allowance=server.together,
            is_crozed=server.is_crozed,
        )
        self._calls: dict[asyncio.Task[None], ServerCall] = {}
        self._group = asyncio.TaskGroup()
        self._reading: asyncio.Task[None] | None = None
        self._prompt = stream if isinstance(stream, PromptBytes) else None
        self._to_write = asyncio.Event()
        self._to_write.set()
        self._is_writing = self._is_flushing = False
        self._ending = False
        self._loop = asyncio.get_running_loop()
        self._patience: asyncio.TimerHandle | None = None
        if server.patience is not None:
            self._hang_up_after(server.patience.greeting_s)
        if server.is_stopping:
            self._http.go_away()

    async def run(self) -> None:
        """Serve the connection until either side has ended it."""
        try:
            async with self._group as group:
                writing = group.create_task(self._write())
                self._reading = group.create_task(self._read())
                try:
                    await asyncio.wait(
                        (self._reading, writing), return_when=asyncio.FIRST_COMPLETED
                    )
                finally:
                    self._end_calls()
                    self._ending = True
                    self._to_write.set()
                    await asyncio.wait([writing], timeout=FAREWELL_S)
                    self._http.close("the connection has ended")
                    writing.cancel()
                    self._reading.cancel()
        finally:
            self._hurry_not()

    def go_away(self) -> None:
        """Send GOAWAY: take no more calls, and close when those under way have ended."""
        self._http.go_away()
        self._wake()
        if not self._calls:
            self.hang_up()

    def hang_up(self) -> None:
        """Close the connection now."""
        self._http.go_away()
        if self._reading is not None:
            self._reading.cancel()

    async def _read(self) -> None:
        try:
            if self._server.share is not None:
                await self._read_in_turns(self._server.share)
                return
            if self._prompt is not None:
                await self._prompt.push(self._take)
                return
            while data := await self._bytes.read():
                self._take(data)
        except ConnectionBroken as error:
            log.debug("a connection is refused: %s", error)
        except OSError as error:
            log.debug("a connection broke: %s", error)

    async def _read_in_turns(self, share: TimeShare) -> None:
        while data := await self._bytes.read():
            for start in range(0, len(data), _TURN_BYTES):
                async with share.turn():
                    self._take(data[start : start + _TURN_BYTES])

    def _take(self, data: bytes) -> None:
        greeted = self._http.greeted
        try:
            self._http.receive(data)
        finally:
            self._wake()
        if not greeted and self._http.greeted and not self._calls:
            self._wait_for_calls()

    async def _write(self) -> None:
        try:
            while not self._ending or self._http.pending_bytes:
                await self._to_write.wait()
                self._to_write.clear()
                self._is_writing = True
                data = self._http.outgoing()
                for start in range(0, len(data), _WRITE_BYTES):
                    await self._bytes.write(data[start : start + _WRITE_BYTES])
                self._is_writing = False
        except OSError as error:
            log.debug("a connection broke: %s", error)

    def _wake(self) -> None:
        """What is added until the loop's next turn is written at once with it."""
        if not self._http.pending_bytes:
            return
        if self._prompt is None or self._is_writing or not self._prompt.is_clear:
            self._to_write.set()
        elif not self._is_flushing:
            self._is_flushing = True
            self._loop.call_soon(self._flush, self._prompt)

    def _flush(self, prompt: PromptBytes) -> None:
        self._is_flushing = False
        if self._is_writing or not prompt.is_clear:
            self._to_write.set()
        elif data := self._http.outgoing():
            prompt.write_now(data)

    def _end_calls(self) -> None:
        gone = status(UNAVAILABLE, "the server is shutting down")
        for task, call in tuple(self._calls.items()):
            call.outcome = gone
            task.cancel()

    # -- calls --

    def _begin(self, stream: ServerStream) -> None:
        path = dict(stream.headers)[":path"]
        try:
            method = self._server.method(path)
        except Exception as error:
            text = f"{path} can't be served: {as_croze_error(error)}"
            log.error("%s", text, exc_info=not isinstance(error, CrozeError))
            self._http.finish(stream, status(UNAVAILABLE, text))
            return
        if method is None:
            self._http.finish(stream, status(UNIMPLEMENTED, self._unknown(path)))
            return
        if len(self._calls) >= self._server.streams:  # those that were cancelled have to end, too
            self._http.refuse(stream)
            return
        call = ServerCall(self._http, stream, self._wake, method.serialize)
        self._hurry_not()
        task = self._group.create_task(self._serve(method, call))
        self._calls[task] = call
        stream.on_cancel = task.cancel
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._calls[task]
        if self._calls or self._ending:
            return
        if self._http.leaving:
            self.hang_up()
        else:
            self._wait_for_calls()

    def _wait_for_calls(self) -> None:
        if self._server.patience is not None:
            self._hang_up_after(self._server.patience.idle_s)

    def _hang_up_after(self, seconds: float) -> None:
        self._hurry_not()
        self._patience = self._loop.call_later(seconds, self.hang_up)

    def _hurry_not(self) -> None:
        if self._patience is not None:
            self._patience.cancel()

    def _unknown(self, path: str) -> str:
        service, slash, name = path.removeprefix("/").rpartition("/")
        if not slash:
            return f'malformed method name: "{path}"'
        if service in self._server.services:
            return f"unknown method {name} for service {service}"
        return f"unknown service {service}"

    async def _serve(self, method: ServedMethod, call: ServerCall) -> None:
        """A call, to its end."""
        timeout_s = call.timeout_s()
        timer = None
        if timeout_s is not None:
            task = asyncio.current_task()
            assert task is not None
            timer = self._loop.call_later(timeout_s, _expire, call, task)
        try:
            with contextlib.ExitStack() as stack:
                if self._server.watch is not None:
                    stack.enter_context(self._server.watch(method.name, call))
                await _work(method, call)
        except grpc.aio.AbortError:
            pass
        except asyncio.CancelledError:
            if call.outcome is None:  # the peer wants no answer
                return
        except CallBroken as error:
            call.outcome = error.outcome
        except ConnectionResetError:
            return
        except Exception as error:
            log.exception("%s failed", method.name)
            call.outcome = status(UNKNOWN, f"Unexpected {type(error)}: {error}")
        finally:
            if timer is not None:
                timer.cancel()
        await call.finish()


def _expire(call: ServerCall, task: asyncio.Task[None]) -> None:
    call.outcome = status(_DEADLINE_EXCEEDED, "context deadline exceeded")
    task.cancel()


def _closing(answers: AsyncIterator[object]) -> AbstractAsyncContextManager[object]:
    return aclosing(answers) if isinstance(answers, AsyncGenerator) else nullcontext()


async def _work(method: ServedMethod, call: ServerCall) -> None:
    deserialize = method.deserialize or bytes
    request: object = Requests(call, deserialize)
    if method.asks_once:
        messages = await call.receive()
        if len(messages) != 1:
            raise CallBroken(status(INTERNAL, f"{len(messages)} requests where there is to be one"))
        request = read(deserialize, messages[0])
    answer = method.behavior(request, call)
    if isinstance(answer, AsyncIterator):
        async with _closing(answer):
            async for each in answer:
                await call.write(each)
        return
    if isinstance(answer, Awaitable):
        answer = await answer
    if method.answers_once:
        await call.write(answer)
