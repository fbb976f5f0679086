"""A client on the streams of a process: what it says goes out, what is typed goes in."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from croze.engineapi.container_routes.detach import Escape
from croze.engineapi.containers.output import Listener, framed
from croze.engineapi.hijack import Hijacked

TypeIn = Callable[[bytes], Awaitable[None]]
"""Standard input of a process; nothing is the end of it."""


async def join(
    client: Hijacked,
    listener: Listener,
    type_in: TypeIn | None,
    *,
    tty: bool,
    ends_input: bool,
    keys: bytes = b"",
) -> None:
    """Connect a client with a process, until that has ended, or the client has gone or typed the
    keys that leave a terminal. With `ends_input` the end of what the client sends is the end of
    standard input."""
    async with asyncio.TaskGroup() as group:
        listening = group.create_task(_listen(client, listener, tty=tty))
        typing = group.create_task(_type(client, type_in, ends_input, keys, listening))
        await asyncio.wait([listening])
        typing.cancel()


async def _listen(client: Hijacked, listener: Listener, *, tty: bool) -> None:
    try:
        async for entry in listener.entries():
            await client.write(framed(entry, tty=tty))
    except OSError:
        pass  # the client has gone


async def _type(
    client: Hijacked,
    type_in: TypeIn | None,
    ends_input: bool,
    keys: bytes,
    listening: asyncio.Task[None],
) -> None:
    """Pass on what the client types, until it has no more; one that has gone is seen when it is
    written to."""
    escape = Escape(keys) if keys else None
    while data := await _read(client):
        has_left = False
        if escape is not None:
            data, has_left = escape.typed(data)
        if data and type_in is not None:
            await type_in(data)
        if has_left:
            listening.cancel()
            return
    if type_in is not None and ends_input:
        await type_in(b"")


async def _read(client: Hijacked) -> bytes:
    try:
        return await client.read()
    except OSError:
        return b""
