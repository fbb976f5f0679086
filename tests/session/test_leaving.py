"""Sessions on daemons that leave the connection just then."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from croze.aio.streams import Socket
from croze.errors import Unavailable
from croze.session.serve import SESSION_METHOD, lend
from tests.rpc.scripted import HELLO, LEAVING, answering, peers

METHOD = SESSION_METHOD.encode()


async def test_a_session_that_a_leaving_daemon_has_not_seen_is_opened_again(
    tmp_path: Path,
) -> None:
    heard = asyncio.Event()

    async def take(stream: Socket) -> None:
        await stream.write(HELLO)
        said = b""
        while METHOD not in said:
            said += await stream.read()
        heard.set()

    async with (
        peers(tmp_path / "s", answering(LEAVING, METHOD), take) as channel,
        lend(channel, []) as session,
    ):
        await heard.wait()
        await session.wait_closed()
        assert isinstance(session.failure, Unavailable)


@pytest.mark.parametrize("again", [True, False])
async def test_a_session_that_nobody_takes(again: bool, tmp_path: Path) -> None:
    leaving = answering(LEAVING, METHOD)

    async def refuse(stream: Socket) -> None:
        """Hangs up."""

    async with (
        peers(tmp_path / "s", leaving, leaving if again else refuse) as channel,
        lend(channel, []) as session,
    ):
        await session.wait_closed()
        assert isinstance(session.failure, Unavailable)
