"""Servers that say what a test has them say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from croze.aio.streams import Socket, listening, on_sockets, serving
from croze.rpc.channel import Channel
from croze.rpc.http2 import frames
from croze.rpc.http2.blocks import header_block, header_frames
from croze.rpc.http2.frames import Code
from tests.support.waiting import PATIENCE_S

HELLO = frames.settings({})
LEAVING = frames.goaway(0, Code.NO_ERROR, "graceful_stop")
"""It has looked at no call."""

Say = Callable[[Socket], Awaitable[None]]


def block(number: int, headers: Iterable[tuple[str, str]], *, end: bool = False) -> bytes:
    return header_frames(number, header_block(headers), 16_384, end_stream=end)


@asynccontextmanager
async def peers(path: Path, *says: Say) -> AsyncIterator[Channel]:
    """A channel whose connections are spoken to in turn."""
    turns = iter(says)

    async def say(stream: Socket) -> None:
        await next(turns)(stream)

    async with (
        asyncio.timeout(PATIENCE_S),
        serving(listening(str(path)), on_sockets(say), most=9),
        Channel(f"unix:{path}") as made,
    ):
        yield made


def answering(answer: bytes, method: bytes = b"/test.S/") -> Say:
    """Says this to the first call, and reads to the end."""

    async def say(stream: Socket) -> None:
        heard = b""
        while method not in heard:
            heard += await stream.read()
        await stream.write(HELLO + answer)
        while await stream.read():
            pass

    return say
