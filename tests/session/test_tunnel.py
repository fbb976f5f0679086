"""The daemon's calls in the stream of a session, with peers that behave, and some that don't."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TypeAlias

import grpc
import grpc.aio
import pytest

from croze import errors
from croze.api import control_pb2, secrets_pb2, upload_pb2
from croze.rpc.call import Requests, ServerCall
from croze.rpc.client_call import ClientCall
from croze.rpc.http2 import frames
from croze.rpc.http2.blocks import header_block, header_frames
from croze.rpc.http2.messages import prefixed
from croze.rpc.servers import Context
from croze.session import lent_service, manager
from croze.session.contract import Session
from croze.session.serve import SESSION_METHOD
from croze.session.tunnel import SessionTunnel
from tests.rpc.grpc_client import open_channel
from tests.session.conftest import Daemon, Lend
from tests.support.waiting import PATIENCE_S

PIECE = upload_pb2.BytesMessage(data=bytes(60_000)).SerializeToString()


class Odd:
    """Methods that do what a caller has to bear."""

    service = "test.Odd"

    def __init__(self) -> None:
        self.read = 0
        self.cancelled = asyncio.Event()
        self.go_on = asyncio.Event()

    def methods(self) -> Mapping[str, lent_service.Handler]:
        return {
            "Wait": lent_service.unary(self.wait, secrets_pb2.GetSecretRequest),
            "Idle": lent_service.raw_stream(self.idle),
            "Refuse": lent_service.raw_stream(self.refuse),
            "Flood": lent_service.raw_stream(self.flood),
            "Headers": lent_service.raw_stream(self.headers),
        }

    async def wait(
        self, request: secrets_pb2.GetSecretRequest, context: Context
    ) -> secrets_pb2.GetSecretResponse:
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return secrets_pb2.GetSecretResponse(data=request.ID.encode())

    async def idle(self, messages: Requests[bytes], context: ServerCall) -> None:
        await self.go_on.wait()
        async for _ in messages:
            self.read += 1

    async def refuse(self, messages: Requests[bytes], context: ServerCall) -> None:
        async for _ in messages:
            raise errors.PermissionDenied("not this one")

    async def flood(self, messages: Requests[bytes], context: ServerCall) -> None:
        while True:
            await context.write(PIECE)
            self.read += 1

    async def headers(self, messages: Requests[bytes], context: ServerCall) -> None:
        found = lent_service.metadata_of(context)
        for value in (*found["one"], found["two"][0]):
            await context.write(value.encode())


async def wait(session: Session, id: str, timeout_s: float | None = None) -> bytes:
    answer = await session.calls.ask(
        "/test.Odd/Wait",
        secrets_pb2.GetSecretRequest(ID=id),
        secrets_pb2.GetSecretResponse,
        timeout_s=timeout_s,
    )
    return answer.data


async def test_a_deadline_ends_the_call_at_both_ends(lending: Lend) -> None:
    odd = Odd()
    async with lending([odd]) as session:
        with pytest.raises(errors.CrozeError, match="DeadlineExceeded: context deadline exceeded"):
            await wait(session, "x", timeout_s=0.5)
        async with asyncio.timeout(PATIENCE_S):
            await odd.cancelled.wait()


async def test_a_cancelled_call_is_cancelled_at_the_client(lending: Lend) -> None:
    odd = Odd()
    async with lending([odd]) as session, asyncio.TaskGroup() as group:
        call = group.create_task(wait(session, "x"))
        async with session.calls.stream("/test.Odd/Refuse") as other:
            await other.send(PIECE)
            with pytest.raises(errors.PermissionDenied, match="not this one"):
                await other.receive()
            call.cancel()
            await odd.cancelled.wait()


async def test_more_calls_than_the_client_takes_at_once(lending: Lend) -> None:
    """It has not said how many when the first of them are made."""
    odd = Odd()
    async with lending([odd]) as session, asyncio.TaskGroup() as group:
        calls = [group.create_task(wait(session, f"{n}")) for n in range(300)]
        await asyncio.sleep(0)
        calls[7].cancel()
        odd.go_on.set()
        await asyncio.wait(calls)
        assert [each.result() for each in calls[8:]] == [f"{n}".encode() for n in range(8, 300)]


async def test_who_sends_waits_for_a_client_that_does_not_read(lending: Lend) -> None:
    odd = Odd()
    async with lending([odd]) as session, session.calls.stream("/test.Odd/Idle") as call:
        sent = 0

        async def send() -> None:
            nonlocal sent
            while sent < 1000:
                await call.send(PIECE)
                sent += 1
            await call.done_sending()

        async with asyncio.TaskGroup() as group:
            sending = group.create_task(send())
            before = -1
            while sent != before or sent == 0:
                before = sent
                await asyncio.sleep(0.1)
            assert sent < 200
            odd.go_on.set()
            await sending
        assert not await call.receive()
        assert odd.read == 1000


async def test_a_client_that_floods_waits_for_who_does_not_take(lending: Lend) -> None:
    odd = Odd()
    async with lending([odd]) as session, session.calls.stream("/test.Odd/Flood") as call:
        before = -1
        while odd.read != before or odd.read == 0:
            before = odd.read
            await asyncio.sleep(0.1)
        assert odd.read < 200
        assert set(await call.receive()) == {PIECE}


async def test_what_is_sent_to_a_call_that_has_ended(lending: Lend) -> None:
    async with lending([Odd()]) as session, session.calls.stream("/test.Odd/Refuse") as call:

        async def send() -> None:
            while True:
                await call.send(PIECE)

        with pytest.raises(errors.PermissionDenied, match="not this one"):
            await send()
        await call.done_sending()


async def test_headers_that_take_many_frames(lending: Lend) -> None:
    """The patterns of a long `.dockerignore`, for one."""
    long = "p" * 50_000
    async with (
        lending([Odd()]) as session,
        session.calls.stream(
            "/test.Odd/Headers", (("one", "a"), ("one", ""), ("two", long))
        ) as call,
    ):
        found: list[bytes] = []
        while batch := await call.receive():
            found += batch
    assert found == [b"a", b"", long.encode()]


@pytest.mark.parametrize("value", ["ä", "a\nb", "\0"])
async def test_headers_that_cannot_be_sent(lending: Lend, value: str) -> None:
    async with lending([Odd()]) as session:
        told = 'header key "two" contains value with non-printable ASCII characters'
        with pytest.raises(errors.InvalidRequest, match=told):
            async with session.calls.stream("/test.Odd/Headers", (("two", value),)):
                pass


async def test_a_method_that_nobody_serves(lending: Lend) -> None:
    async with lending([]) as session:
        with pytest.raises(errors.Unsupported):
            await wait(session, "x")


# -- a client of HTTP/2 written by hand ------------------------------------------------------


_Call: TypeAlias = "grpc.aio.StreamStreamCall[control_pb2.BytesMessage, control_pb2.BytesMessage]"


@asynccontextmanager
async def by_hand(daemon: Daemon, *said: bytes) -> AsyncIterator[_Call]:
    async with open_channel(daemon.address) as channel:
        call: _Call
        call = channel.stream_stream(
            SESSION_METHOD,
            control_pb2.BytesMessage.SerializeToString,
            control_pb2.BytesMessage.FromString,
        )(None, metadata=((manager.HEADER_ID, "hand"),))
        for each in said:
            await call.write(control_pb2.BytesMessage(data=each))
        yield call
        call.cancel()


async def to_its_end(call: _Call) -> None:
    while isinstance(await call.read(), control_pb2.BytesMessage):
        pass


async def test_a_session_that_is_no_http2_is_refused(daemon: Daemon) -> None:
    async with by_hand(daemon, b"GET / HTTP/1.1\r\n\r\n") as call:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await to_its_end(call)
        told = 'invalid HTTP/2 in a session: the peer does not speak it, but says "GET / HTTP/1.1"'
        assert caught.value.details() == told
    assert daemon.sessions.current("hand") is None


async def gone(call: Awaitable[object]) -> None:
    with pytest.raises(errors.Unavailable, match="error reading from server: EOF"):
        await call


async def test_a_client_that_vanishes_fails_its_calls(daemon: Daemon) -> None:
    hello = frames.settings({})
    async with by_hand(daemon, hello) as call, asyncio.TaskGroup() as group:
        session = await daemon.sessions.get("hand")
        group.create_task(gone(wait(session, "x")))
        heard = b""
        while b"/test.Odd/Wait" not in heard:
            message = await call.read()
            assert isinstance(message, control_pb2.BytesMessage)
            heard += message.data
        call.cancel()


class Stuck:
    """A byte stream that takes nothing, and says what it is given."""

    def __init__(self) -> None:
        self.said: asyncio.Queue[bytes] = asyncio.Queue()

    async def read(self) -> bytes:
        return await self.said.get()

    async def write(self, data: bytes) -> None:
        await asyncio.Event().wait()


async def test_a_stream_that_takes_nothing_holds_up_who_sends_and_nothing_grows() -> None:
    stuck = Stuck()
    tunnel = SessionTunnel(stuck)
    stuck.said.put_nowait(frames.settings({frames.INITIAL_WINDOW_SIZE: 2**31 - 1}))
    stuck.said.put_nowait(frames.window_update(0, 2**30))
    async with asyncio.TaskGroup() as group:
        group.create_task(tunnel.run())
        sent = 0

        async def send() -> None:
            nonlocal sent
            async with tunnel.stream("/a/b") as call:
                while True:
                    await call.send(PIECE)
                    sent += len(PIECE)

        group.create_task(gone(send()))
        for _ in range(50):
            await asyncio.sleep(0)
        assert sent < 1 << 20
        stuck.said.put_nowait(b"")


class Pushed:
    """A byte stream that calls back, and whose peer takes all."""

    def __init__(self) -> None:
        self.take: Callable[[bytes], None] = print
        self.over = asyncio.Event()

    async def push(self, take: Callable[[bytes], None]) -> None:
        self.take = take
        await self.over.wait()

    async def write(self, data: bytes) -> None:
        pass


async def test_what_comes_is_with_its_call_before_anybody_has_a_turn() -> None:
    pushed = Pushed()
    tunnel = SessionTunnel(pushed)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(tunnel.run())
        async with tunnel.stream("/a/b") as call:
            assert isinstance(call, ClientCall)
            await asyncio.sleep(0)
            answer = header_block(((":status", "200"), ("content-type", "application/grpc")))
            pushed.take(frames.settings({}) + header_frames(call.stream.number, answer, 16_384))
            pushed.take(frames.frame(frames.DATA, 0, call.stream.number, prefixed(PIECE)[:16_000]))
            pushed.take(frames.frame(frames.DATA, 0, call.stream.number, prefixed(PIECE)[16_000:]))
            assert call.stream.incoming.whole == [PIECE]
        pushed.over.set()
        await running
