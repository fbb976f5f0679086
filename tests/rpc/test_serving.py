"""Calls of a server in this process, by gRPC's own client, and by peers that say little."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import grpc.aio
import pytest

from croze import errors
from croze.rpc.call import Requests, ServerCall
from croze.rpc.http2 import frames
from croze.rpc.limits import MESSAGE_LIMIT_BYTES
from croze.rpc.server import Patience, Server
from croze.rpc.servers import aborting
from tests.rpc.grpc_client import open_channel
from tests.rpc.raw_frames import parsed
from tests.rpc.served import served
from tests.support.waiting import PATIENCE_S


class Service:
    """Methods that end in every way."""

    def __init__(self) -> None:
        self.cancelled = asyncio.Event()
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()
        self.closed = asyncio.Event()

    async def echo(self, request: bytes, context: ServerCall) -> bytes:
        sent = dict(context.invocation_metadata())
        await context.send_initial_metadata((("got", str(sent.get("k"))), ("b-bin", b"\0\xff")))
        return request + bytes(str(sent.get("raw-bin")), "ascii")

    async def wait(self, request: bytes, context: ServerCall) -> bytes:
        self.begun.set()
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return b"went on"

    async def fail(self, request: bytes, context: ServerCall) -> bytes:
        async with aborting(context, plain=False):
            raise errors.NotFound("nö such thing", errors.VertexDetail("sha256:1"))
        return b""

    async def crash(self, request: bytes, context: ServerCall) -> bytes:
        raise ValueError("odd")

    async def large(self, request: bytes, context: ServerCall) -> bytes:
        return bytes(MESSAGE_LIMIT_BYTES + 1)

    async def count(self, requests: Requests[bytes], context: ServerCall) -> AsyncIterator[bytes]:
        try:
            async for each in requests:
                yield str(len(each)).encode()
        finally:
            self.closed.set()

    def server(self) -> Server:
        made = Server()
        unary, both = grpc.unary_unary_rpc_method_handler, grpc.stream_stream_rpc_method_handler
        names = ("echo", "wait", "fail", "crash", "large")
        table = {name: unary(getattr(self, name)) for name in names}
        made.add_methods("test.S", {**table, "count": both(self.count)})
        return made


async def test_metadata_and_binary_values(tmp_path: Path) -> None:
    async with served(Service().server(), tmp_path / "s") as to, open_channel(to) as channel:
        call = channel.unary_unary("/test.S/echo", bytes, bytes)(
            b"x", metadata=(("k", "v"), ("raw-bin", b"\1"))
        )
        assert await call == rb"xb'\x01'"
        found = dict((await call.initial_metadata()) or ())
        assert (found["got"], found["b-bin"]) == ("v", b"\0\xff")


@pytest.mark.parametrize(
    ("method", "code", "told"),
    [
        ("test.S/fail", grpc.StatusCode.NOT_FOUND, "nö such thing"),
        ("test.S/crash", grpc.StatusCode.UNKNOWN, "Unexpected <class 'ValueError'>: odd"),
        ("test.S/large", grpc.StatusCode.RESOURCE_EXHAUSTED, "larger than max"),
        ("test.S/none", grpc.StatusCode.UNIMPLEMENTED, "unknown method none for service test.S"),
        ("test.T/none", grpc.StatusCode.UNIMPLEMENTED, "unknown service test.T"),
        ("none", grpc.StatusCode.UNIMPLEMENTED, 'malformed method name: "/none"'),
    ],
)
async def test_calls_that_fail(
    tmp_path: Path, method: str, code: grpc.StatusCode, told: str
) -> None:
    async with served(Service().server(), tmp_path / "s") as to, open_channel(to) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary(f"/{method}", bytes, bytes)(b"")
    assert caught.value.code() is code
    assert told in str(caught.value.details())


@pytest.mark.parametrize("timeout_s", [1, None])
async def test_a_deadline_and_a_cancellation(tmp_path: Path, timeout_s: float | None) -> None:
    service = Service()
    async with (
        asyncio.timeout(PATIENCE_S),
        served(service.server(), tmp_path / "s") as to,
        open_channel(to) as channel,
    ):
        call = channel.unary_unary("/test.S/wait", bytes, bytes)(b"", timeout=timeout_s)
        await service.begun.wait()
        if timeout_s is None:
            call.cancel()
        await service.cancelled.wait()


async def test_large_messages_and_an_answer_that_is_left(tmp_path: Path) -> None:
    service = Service()
    async with served(service.server(), tmp_path / "s") as to, open_channel(to) as channel:
        call = channel.stream_stream("/test.S/count", bytes, bytes)(None)
        for size in (0, 15 << 20, 100_000):
            await call.write(bytes(size))
            assert await call.read() == str(size).encode()
        call.cancel()
        async with asyncio.timeout(PATIENCE_S):
            await service.closed.wait()


async def test_a_service_that_cannot_be_loaded_yet(tmp_path: Path) -> None:
    """Its call is told, no other call is harmed, and the next one finds it."""
    service, failures = Service(), [OSError(errno.EMFILE, os.strerror(errno.EMFILE))]
    server = service.server()

    def load() -> None:
        if failures:
            raise failures.pop()
        server.add_methods("test.L", {"echo": grpc.unary_unary_rpc_method_handler(service.echo)})

    server.add_unloaded("test.L", load)
    async with served(server, tmp_path / "s") as to, open_channel(to) as channel:
        other = channel.unary_unary("/test.S/wait", bytes, bytes)(b"")
        await service.begun.wait()
        echo = channel.unary_unary("/test.L/echo", bytes, bytes)
        with pytest.raises(grpc.aio.AioRpcError, match="served: too many open files") as caught:
            await echo(b"x")
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert await echo(b"x") == b"xNone"
        service.go_on.set()
        assert await other == b"went on"


async def test_a_server_that_stops_waits_for_its_calls(tmp_path: Path) -> None:
    service = Service()
    server = service.server()
    async with served(server, tmp_path / "s") as to, open_channel(to) as channel:
        call = channel.unary_unary("/test.S/wait", bytes, bytes)(b"")
        await service.begun.wait()
        async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
            stopping = group.create_task(server.stop(100))
            await asyncio.sleep(0)
            assert not stopping.done()
            service.go_on.set()
            assert await call == b"went on"


async def test_a_server_that_has_waited_enough(tmp_path: Path) -> None:
    service = Service()
    server = service.server()
    async with served(server, tmp_path / "s") as to, open_channel(to) as channel:
        call = channel.unary_unary("/test.S/wait", bytes, bytes)(b"")
        await service.begun.wait()
        async with asyncio.timeout(PATIENCE_S):
            await server.stop(0)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
    assert service.cancelled.is_set()
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("said", [b"", frames.PREFACE[:5], frames.PREFACE + frames.settings({})])
async def test_who_says_little_is_hung_up_on(tmp_path: Path, said: bytes) -> None:
    server = Server(patience=Patience(0.05, 0.05))
    async with served(server, tmp_path / "s"), asyncio.timeout(PATIENCE_S):
        reader, writer = await asyncio.open_unix_connection(tmp_path / "s")
        writer.write(said)
        heard = list(parsed(await reader.read()))
        assert [kind for kind, *_ in heard if kind != frames.SETTINGS][-1] == frames.GOAWAY
        writer.close()
        await writer.wait_closed()


async def test_who_reads_nothing_holds_up_nobody(tmp_path: Path) -> None:
    """It is hung up on when the server stops."""
    server = Service().server()
    async with served(server, tmp_path / "s"), asyncio.timeout(PATIENCE_S):
        _, writer = await asyncio.open_unix_connection(tmp_path / "s", limit=1)
        hello = frames.PREFACE + frames.settings({})
        writer.write(hello + frames.frame(frames.PING, 0, 0, bytes(8)) * 9_000)
        await writer.drain()
        await asyncio.sleep(0)
        await server.stop(0)
        writer.transport.abort()
