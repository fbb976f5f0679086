"""Calls over a channel: to our own server, to gRPC's own, and to peers that say little."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import grpc
import grpc.aio
import pytest

from croze import errors
from croze.aio.streams import Socket, listening, on_sockets, serving
from croze.api import control_pb2
from croze.rpc import addresses, channel
from croze.rpc.channel import Channel
from croze.rpc.clients import translated
from croze.rpc.http2 import frames
from croze.rpc.limits import MESSAGE_LIMIT_BYTES
from croze.rpc.server import Server
from croze.rpc.stand_ins import AioRpcError, StatusCode
from tests.rpc.served import served
from tests.rpc.shapes import LONG, Service
from tests.support.waiting import PATIENCE_S


@asynccontextmanager
async def ours(service: Service, path: Path) -> AsyncIterator[str]:
    server = Server()
    server.add_methods("test.S", service.table())
    async with served(server, path) as address:
        yield address


@asynccontextmanager
async def grpcs(service: Service, path: Path) -> AsyncIterator[str]:
    limit = (("grpc.max_receive_message_length", MESSAGE_LIMIT_BYTES),)
    server = grpc.aio.server(options=limit)  # noqa: TID251
    handler = grpc.method_handlers_generic_handler("test.S", service.table())
    server.add_generic_rpc_handlers((handler,))
    server.add_insecure_port(f"unix:{path}")
    await server.start()
    try:
        yield f"unix:{path}"
    finally:
        await server.stop(None)


Serve = Callable[[Service, Path], AbstractAsyncContextManager[str]]


async def three() -> AsyncIterator[bytes]:
    for each in (b"", b"a", LONG):
        yield each


@pytest.mark.parametrize("serve", [ours, grpcs])
async def test_calls_of_every_shape(serve: Serve, tmp_path: Path) -> None:
    service = Service()
    async with (
        asyncio.timeout(PATIENCE_S),
        serve(service, tmp_path / "s") as address,
        Channel(address) as made,
    ):
        echo = made.unary_unary("/test.S/echo", bytes, bytes)
        assert await echo(LONG) == LONG
        with pytest.raises(AioRpcError, match="larger than max"):
            await echo(bytes(MESSAGE_LIMIT_BYTES + 1))
        counting = made.unary_stream("/test.S/count", bytes, bytes)(b"5000")
        assert ("who", "me") in await counting.initial_metadata()
        assert [len(each) async for each in counting] == [1000] * 5000
        assert await made.stream_unary("/test.S/lengths", bytes, bytes)(three()) == (
            f"[0, 1, {len(LONG)}]".encode()
        )
        both = made.stream_stream("/test.S/both", bytes, bytes)(three())
        assert [each async for each in both] == [b"", b"a", LONG]
        if serve is ours:  # gRPC's takes all requests before it answers
            assert await made.stream_unary("/test.S/early", bytes, bytes)(three()) == b"enough"
            with pytest.raises(errors.NotFound, match="nö such thing") as caught, translated():
                await made.unary_unary("/test.S/fail", bytes, bytes)(b"")
            detail, _stack = caught.value.details
            assert isinstance(detail, errors.VertexDetail)
            assert len(detail.digest) > 300_000
        with pytest.raises(errors.Unsupported), translated():
            await made.unary_unary("/test.S/none", bytes, bytes)(b"")


async def test_calls_end_with_who_waits_for_them(tmp_path: Path) -> None:
    """A deadline, a cancelled task, an iterator that is dropped."""
    service = Service()
    async with (
        asyncio.timeout(PATIENCE_S),
        ours(service, tmp_path / "s") as address,
        Channel(address) as made,
    ):
        waits = made.unary_unary("/test.S/wait", bytes, bytes)

        async def wait() -> None:
            await waits(b"")

        for timeout_s in (0.2, 2, 20):  # one is enough to begin in, however busy the machine is
            with pytest.raises(AioRpcError, match="deadline exceeded") as caught:
                await waits(b"", timeout=timeout_s)
            assert caught.value.code() is StatusCode.DEADLINE_EXCEEDED
            if service.begun.is_set():
                break
        await service.cancelled.wait()
        for end in ("cancel", "drop"):
            service.begun.clear()
            service.cancelled.clear()
            if end == "cancel":
                task = asyncio.get_running_loop().create_task(wait())
                await service.begun.wait()
                task.cancel()
            else:
                counting = made.unary_stream("/test.S/count", bytes, bytes)(b"3")
                await anext(aiter(counting))
                await service.begun.wait()
                del counting
                gc.collect()
            await service.cancelled.wait()


async def test_why_nothing_more_was_sent(tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x"
        raise ValueError("no more of it")

    async with (
        asyncio.timeout(PATIENCE_S),
        ours(Service(), tmp_path / "s") as address,
        Channel(address) as made,
    ):
        both = made.stream_stream("/test.S/both", bytes, bytes)(broken())
        with pytest.raises(ValueError, match="no more of it"):
            assert [each async for each in both]
        with pytest.raises(ValueError, match="no more of it"):
            await made.stream_unary("/test.S/lengths", bytes, bytes)(broken())


async def test_a_daemon_that_comes_back(tmp_path: Path) -> None:
    """The next call finds it. A call that waits for it finds it when it comes."""
    async with asyncio.timeout(PATIENCE_S), Channel(f"unix:{tmp_path}/s") as made:
        echo = made.unary_unary("/test.S/echo", bytes, bytes)
        for _ in range(2):
            with pytest.raises(AioRpcError, match="failed to connect to unix:") as caught:
                await echo(b"x")
            assert caught.value.code() is StatusCode.UNAVAILABLE

            async def patient() -> bytes:
                return await echo(b"x", wait_for_ready=True)

            waiting = asyncio.get_running_loop().create_task(patient())
            await asyncio.sleep(0.1)
            async with ours(Service(), tmp_path / "s"):
                assert await waiting == b"x"
                assert await echo(b"y") == b"y"
            (tmp_path / "s").unlink()


@asynccontextmanager
async def peer(path: Path, say: Callable[[Socket], Awaitable[None]]) -> AsyncIterator[Channel]:
    async with (
        asyncio.timeout(PATIENCE_S),
        serving(listening(str(path)), on_sockets(say), most=9),
        Channel(f"unix:{path}") as made,
    ):
        yield made


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "invalid HTTP/2: "),
        (b"", "error reading from server: EOF"),
        (None, "timed out before it said what it speaks"),
    ],
)
async def test_peers_that_speak_something_else(
    said: bytes | None, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel, "GREETING_S", 0.2)

    async def say(stream: Socket) -> None:
        await stream.read()
        if said is None:
            await asyncio.Event().wait()
        elif said:
            await stream.write(said)
            await stream.read()

    async with peer(tmp_path / "s", say) as made:
        with pytest.raises(AioRpcError, match=f"failed to connect to .*: {why}") as caught:
            await made.unary_unary("/test.S/echo", bytes, bytes)(b"")
        assert caught.value.code() is StatusCode.UNAVAILABLE


async def test_a_peer_that_hangs_up(tmp_path: Path) -> None:
    async def say(stream: Socket) -> None:
        await stream.write(frames.settings({}))
        await stream.read()

    async with peer(tmp_path / "s", say) as made:
        with pytest.raises(AioRpcError, match="error reading from server: EOF"):
            await made.unary_unary("/test.S/echo", bytes, bytes)(b"")


async def test_a_socket_whose_queue_is_full(tmp_path: Path) -> None:
    """Nobody accepts yet; who comes waits in turn."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "s"))
    listener.listen(0)
    first = socket.socket(socket.AF_UNIX)
    first.connect(str(tmp_path / "s"))
    server = Server()
    server.add_methods("test.S", Service().table())
    async with asyncio.timeout(PATIENCE_S), Channel(f"unix:{tmp_path}/s") as made:

        async def echo() -> bytes:
            return await made.unary_unary("/test.S/echo", bytes, bytes)(b"x")

        waiting = asyncio.get_running_loop().create_task(echo())
        await asyncio.sleep(0.1)
        with first:
            assert not waiting.done()
        async with serving(listener, on_sockets(server.serve), most=9):
            assert await waiting == b"x"


async def test_what_takes_long_to_fail_does_not_for_each_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried = 0

    async def slow(*_: object) -> None:
        nonlocal tried
        tried += 1
        await asyncio.sleep(0.2)
        raise addresses.NotConnected("timed out")

    monkeypatch.setattr(channel, "connect", slow)
    async with Channel("tcp://nowhere:1") as made:
        echo = made.unary_unary("/test.S/echo", bytes, bytes)

        async def fail() -> None:
            with pytest.raises(AioRpcError, match=r"failed to connect .* timed out"):
                await echo(b"x")

        await asyncio.gather(fail(), fail(), fail())
        await fail()
        assert tried == 1


async def test_a_call_that_is_given_up_before_it_is_taken(tmp_path: Path) -> None:
    heard, ended = asyncio.Event(), asyncio.Event()

    async def say(stream: Socket) -> None:
        await stream.write(frames.settings({}))
        data = b""
        while frames.rst_stream(1, frames.Code.CANCEL) not in data:
            data += await stream.read()
            heard.set()
        ended.set()

    async with peer(tmp_path / "s", say) as made:
        answers = made.unary_stream("/test.S/count", bytes, bytes)(LONG)

        async def first() -> None:
            await anext(aiter(answers))

        task = asyncio.get_running_loop().create_task(first())
        await heard.wait()
        task.cancel()
        await ended.wait()


def test_answers_that_are_none() -> None:
    from croze.rpc.methods import Method

    method: Method[bytes, control_pb2.InfoResponse] = Method(
        Channel.__new__(Channel), "/m", None, control_pb2.InfoResponse.FromString
    )
    with pytest.raises(AioRpcError, match="failed to unmarshal"):
        method.answer(b"\xff")
