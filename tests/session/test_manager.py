from __future__ import annotations

import asyncio
import threading

import pytest

from croze import errors
from croze.rpc.channel import Channel
from croze.session import manager
from croze.session.contract import Session
from croze.session.manager import HEADER_ID, Headers, HealthPolicy, Sessions
from croze.session.serve import SESSION_METHOD, lend
from tests.conformance.sessions import Echo, SessionSuite
from tests.session.conftest import Daemon, Lend
from tests.support.waiting import PATIENCE_S

PRESENT_S = 4.0
"""Less than any session that is not there is waited for."""


class TestSessions(SessionSuite):
    """The daemon's own."""


async def test_a_client_without_health_is_given_up(daemon: Daemon) -> None:
    """It answers nothing: its server has no services at all."""
    async with Channel(daemon.address) as channel:
        metadata = ((manager.HEADER_ID, "deaf"), (manager.HEADER_HEALTH_TIMEOUT, "1"))
        call = await channel.open(SESSION_METHOD, metadata)
        session = await daemon.sessions.get("deaf")
        async with asyncio.timeout(PATIENCE_S):
            await session.wait_closed()
        call.close()


def test_health_policy_from_headers() -> None:
    def of(value: str) -> HealthPolicy:
        return HealthPolicy.of_headers(Headers.of([(manager.HEADER_HEALTH_TIMEOUT, value)]))

    assert of("") == HealthPolicy()
    assert of("-5") == HealthPolicy()
    assert of("10") == HealthPolicy(1.0, 1.0, 1)
    assert of("2500") == HealthPolicy(2.5, 2.5, 1)


async def test_a_session_needs_an_id() -> None:
    with pytest.raises(errors.InvalidRequest):
        await Sessions().serve(Headers(()), None)  # type: ignore[arg-type]


async def test_a_daemon_that_was_held_up_still_waits(daemon: Daemon) -> None:
    async with asyncio.TaskGroup() as group, Channel(daemon.address) as channel:
        waiting = group.create_task(daemon.sessions.get("late", timeout_s=0.5))
        await asyncio.sleep(0)
        threading.Event().wait(1)  # the loop has no turn meanwhile
        async with lend(channel, [Echo()], id="late"):
            assert (await waiting).id == "late"


async def test_sessions_that_are_gone_hold_up_nobody(daemon: Daemon, lending: Lend) -> None:
    async with lending([Echo()]) as one:

        async def use(session: Session) -> str:
            return session.id

        async with asyncio.timeout(PRESENT_S):
            assert await daemon.sessions.first(["gone", "x:gone", one.id], use) == one.id


class Silent:
    """A client's end of a session that says nothing until it is over."""

    def __init__(self) -> None:
        self.over = asyncio.Event()

    async def read(self) -> bytes:
        await self.over.wait()
        return b""

    async def write(self, data: bytes) -> None: ...


async def test_a_client_may_come_back_before_its_last_session_has_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sessions, headers = Sessions(), Headers(((HEADER_ID, "a"),))
    first, second = Silent(), Silent()
    async with asyncio.TaskGroup() as group:
        group.create_task(sessions.serve(headers, first))
        before = await sessions.get("a")
        group.create_task(sessions.serve(headers, second))
        await asyncio.sleep(0)
        first.over.set()
        await before.wait_closed()
        assert await sessions.get("a") is not before
        monkeypatch.setattr(manager, "_ENDING_S", 0.01)
        with pytest.raises(errors.AlreadyExists, match="session a already exists"):
            await sessions.serve(headers, Silent())
        second.over.set()
