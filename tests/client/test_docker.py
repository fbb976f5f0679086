"""Images loaded into a Docker engine: what it does not do, and who does not wait for it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import pytest

from croze.aio.threads import abandonable
from croze.client.docker import ImageLoad
from croze.errors import Unavailable


@pytest.fixture
def deaf() -> Iterator[str]:
    """The address of an engine that takes no connection: its queue is full."""
    with (
        socket.create_server(("127.0.0.1", 0), backlog=0) as server,
        contextlib.ExitStack() as stack,
    ):
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(server.getsockname())
        yield "tcp://{}:{}".format(*server.getsockname())


async def test_who_is_interrupted_does_not_wait_for_the_engine(
    deaf: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", deaf)
    async with asyncio.timeout(10):
        load = await abandonable(ImageLoad)  # opened where one waits to the end
        assert load.waits
        writing = asyncio.ensure_future(abandonable(load.write, b"x"))  # noqa: TID251 - cancelled
        done, _ = await asyncio.wait([writing], timeout=0.2)
        assert not done, "the engine was to answer nothing"
        writing.cancel()
        await asyncio.wait([writing])
        load.abort()


async def test_an_engine_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    load = ImageLoad()
    with pytest.raises(Unavailable, match="Cannot connect to the Docker daemon at unix:///nonex"):
        load.write(b"x")
    load.abort()
