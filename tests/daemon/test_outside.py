"""Connections that another process makes for the daemon."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator

import pytest

from croze.aio.streams import readable
from croze.daemon.outside import CONNECTED, FAILED, Outside


@pytest.fixture
def other() -> Iterator[tuple[Outside, socket.socket]]:
    """The daemon's end, and the process's."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        theirs.setblocking(False)
        yield Outside(ours), theirs


async def answer(orders: socket.socket) -> bytes:
    """Hand over a socket on which the name stands that was asked for."""
    await readable(orders)
    name = orders.recv(100)
    mine, handed = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with mine, handed:
        mine.send(name)
        socket.send_fds(orders, [CONNECTED], [handed.fileno()])
    return name


async def test_each_gets_what_it_asked_for(other: tuple[Outside, socket.socket]) -> None:
    outside, orders = other
    async with asyncio.TaskGroup() as group:
        dials = {name: group.create_task(outside.dial(name)) for name in ("a", "b", "c")}
        for _ in dials:
            await answer(orders)
    for name, dial in dials.items():
        with dial.result() as sock:
            assert sock.recv(10) == name.encode()
            assert not os.get_inheritable(sock.fileno())


async def test_who_gives_up_takes_its_answer_along(other: tuple[Outside, socket.socket]) -> None:
    outside, orders = other
    async with asyncio.TaskGroup() as group:
        first = group.create_task(outside.dial("first"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        first.cancel()
        second = group.create_task(outside.dial("second"))
        assert await answer(orders) == b"first"
        assert await answer(orders) == b"second"
    assert first.cancelled()
    with second.result() as sock:
        assert sock.recv(10) == b"second"


async def test_what_can_not_be_reached(other: tuple[Outside, socket.socket]) -> None:
    outside, orders = other
    orders.send(FAILED)
    with pytest.raises(ConnectionRefusedError, match="could not connect to nobody"):
        await outside.dial("nobody")
