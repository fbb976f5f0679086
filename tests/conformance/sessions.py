"""What every `Session` and `SessionManager` must do. Subclass with the fixtures `daemon`, which has
the manager, and `lending`, which opens a client's session at it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack

import pytest

from croze import errors
from croze.api import secrets_pb2, upload_pb2
from croze.rpc.channel import Channel
from croze.rpc.servers import Context
from croze.session import lent_service
from croze.session.contract import Session
from croze.session.serve import lend
from tests.session.conftest import Daemon, Lend


class Echo:
    """A service with one method of each shape."""

    service = "test.Echo"

    def methods(self) -> Mapping[str, lent_service.Handler]:
        return {
            "One": lent_service.unary(self.one, secrets_pb2.GetSecretRequest),
            "All": lent_service.stream(self.all, upload_pb2.BytesMessage),
        }

    async def one(
        self, request: secrets_pb2.GetSecretRequest, context: Context
    ) -> secrets_pb2.GetSecretResponse:
        if request.ID == "missing":
            raise errors.NotFound("no such thing", errors.VertexDetail("sha256:1"))
        return secrets_pb2.GetSecretResponse(data=request.ID.encode())

    async def all(self, messages: AsyncIterator[upload_pb2.BytesMessage], context: Context) -> None:
        async for message in messages:
            await context.write(message)


async def ask(session: Session, id: str) -> bytes:
    answer = await session.calls.ask(
        "/test.Echo/One", secrets_pb2.GetSecretRequest(ID=id), secrets_pb2.GetSecretResponse
    )
    return answer.data


class SessionSuite:
    """The contract as tests."""

    async def test_the_daemon_calls_a_lent_service(self, lending: Lend) -> None:
        async with lending([Echo()]) as session:
            assert session.name == "test"
            assert session.shared_key == "key"
            assert session.serves("/test.Echo/One")
            assert session.serves("/TEST.echo/one")
            assert not session.serves("/test.Echo/Two")
            assert await ask(session, "hello") == b"hello"

    async def test_typed_errors_cross_the_session(self, lending: Lend) -> None:
        async with lending([Echo()]) as session:
            with pytest.raises(errors.NotFound, match="no such thing") as caught:
                await ask(session, "missing")
        assert caught.value.details[0] == errors.VertexDetail("sha256:1")

    async def test_large_messages_and_streams(self, lending: Lend) -> None:
        piece = bytes(range(256)) * 8192  # 2 MiB
        async with lending([Echo()]) as session:
            message = upload_pb2.BytesMessage(data=piece).SerializeToString()
            async with session.calls.stream("/test.Echo/All") as call:
                for _ in range(4):
                    await call.send(message)
                    assert await call.receive() == [message]
                await call.done_sending()
                assert not await call.receive()

    async def test_a_session_that_ends_is_forgotten(self, daemon: Daemon, lending: Lend) -> None:
        async with lending([Echo()]) as session:
            assert daemon.sessions.current(session.id) is not None
        await session.wait_closed()
        assert daemon.sessions.current(session.id) is None
        with pytest.raises(errors.Unavailable):
            _ = session.calls
        with pytest.raises(errors.SessionMissing) as caught:
            await daemon.sessions.get(session.id, timeout_s=0.01)
        assert str(caught.value) == (
            f"no active session for {session.id}: context deadline exceeded"
        )

    async def test_get_waits_for_a_session_and_ignores_the_prefix(self, daemon: Daemon) -> None:
        waiting = asyncio.get_running_loop().create_task(daemon.sessions.get("vertex:late"))
        await asyncio.sleep(0)
        async with (
            Channel(daemon.address) as channel,
            lend(channel, [Echo()], id="late"),
        ):
            assert (await waiting).id == "late"
            assert daemon.sessions.current("x:late") is not None

    async def test_first_tries_each_session(self, daemon: Daemon, lending: Lend) -> None:
        async with lending([Echo()]) as one, lending([Echo()]) as two:

            async def use(session: Session) -> str:
                if session.id == one.id:
                    raise errors.NotFound("not here")
                return session.id

            assert await daemon.sessions.first([one.id, two.id], use) == two.id
            with pytest.raises(errors.NotFound, match="not here"):
                await daemon.sessions.first([one.id], use)
        with pytest.raises(errors.NotFound, match="no active sessions"):
            await daemon.sessions.first([], use)

    async def test_a_call_in_flight_fails_when_the_client_goes(self, lending: Lend) -> None:
        async with AsyncExitStack() as stack:
            async with lending([Echo()]) as session:
                call = await stack.enter_async_context(session.calls.stream("/test.Echo/All"))
                message = upload_pb2.BytesMessage(data=b"x").SerializeToString()
                await call.send(message)
                assert await call.receive() == [message]
            with pytest.raises(errors.Unavailable):
                await call.receive()

    async def test_the_same_id_twice_is_refused(self, daemon: Daemon) -> None:
        async with (
            Channel(daemon.address) as channel,
            lend(channel, [Echo()], id="same"),
        ):
            await daemon.sessions.get("same")
            async with lend(channel, [Echo()], id="same") as second:
                await second.wait_closed()
                assert isinstance(second.failure, errors.AlreadyExists)

    async def test_a_client_that_comes_back_is_taken_for_the_same(self, daemon: Daemon) -> None:
        """Who waits for the session while it is away gets the new one; the old stays closed."""
        async with Channel(daemon.address) as channel:
            async with lend(channel, [Echo()], id="back"):
                first = await daemon.sessions.get("back")
            await first.wait_closed()
            async with asyncio.TaskGroup() as group:
                waiting = group.create_task(daemon.sessions.get("back"))
                await asyncio.sleep(0)
                async with lend(channel, [Echo()], id="back"):
                    second = await waiting
                    assert await ask(second, "hello") == b"hello"
                    with pytest.raises(errors.Unavailable):
                        await ask(first, "hello")
        assert first is not second

    async def test_a_session_is_found_whatever_else_goes_on(
        self, daemon: Daemon, lending: Lend
    ) -> None:
        """Many who wait for sessions of their own, and some who only look, while others come."""
        sessions = daemon.sessions
        async with (
            lending([Echo()]) as here,
            Channel(daemon.address) as channel,
            asyncio.TaskGroup() as group,
            AsyncExitStack() as stack,
        ):
            waiting = [group.create_task(sessions.get(f"late{number}")) for number in range(8)]
            await asyncio.sleep(0)
            for number in range(8):
                lent = lend(channel, [Echo()], id=f"late{number}")
                looks = [group.create_task(sessions.get(here.id, timeout_s=0)) for _ in range(4)]
                await stack.enter_async_context(lent)
                assert {(await look).id for look in looks} == {here.id}
            await asyncio.wait(waiting)
