"""Hosts with several addresses, of which some lead nowhere."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import threading
from collections.abc import Iterator, Sequence

import pytest

from croze.aio import dialling
from croze.aio.dialling import Address, dialled
from tests.support.waiting import PATIENCE_S


@contextlib.contextmanager
def listening() -> Iterator[Address]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield socket.AF_INET, listener.getsockname()


@contextlib.contextmanager
def silent() -> Iterator[Address]:
    """Whose queue is full: the kernel answers nothing."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield socket.AF_INET, listener.getsockname()


REFUSES: Address = socket.AF_INET, ("127.0.0.1", 1)
TOO: Address = socket.AF_INET6, ("::1", 1, 0, 0)


def host_of(*addresses: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    async def found(host: str, port: int) -> Sequence[Address]:
        return addresses

    monkeypatch.setattr(dialling, "_addresses", found)


async def peer_of(host: str) -> object:
    with await dialled(host, 0) as sock:
        return sock.getpeername()


async def test_the_first_that_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialling, "PATIENCE_S", 0.05)
    with listening() as good, silent() as quiet:
        for each in ((good,), (REFUSES, good), (quiet, good), (quiet, REFUSES, quiet, good)):
            host_of(*each, monkeypatch=monkeypatch)
            async with asyncio.timeout(PATIENCE_S):
                assert await peer_of("x") == good[1]


async def test_the_error_of_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    host_of(REFUSES, TOO, monkeypatch=monkeypatch)
    with pytest.raises(OSError) as caught:
        await dialled("x", 0)
    assert caught.value.errno == errno.ECONNREFUSED
    assert dialling.reason(caught.value) == "connection refused"


def test_nobody_waits_for_a_name_that_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    over, getaddrinfo = threading.Event(), socket.getaddrinfo

    def slow(host: str | None, port: int, *, type: int, flags: int = 0) -> object:
        if not flags:
            over.wait()
        return getaddrinfo(host, port, type=type, flags=flags)

    monkeypatch.setattr(socket, "getaddrinfo", slow)

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await dialled("some.example", 1)

    asyncio.run(give_up())
    over.set()


async def test_numbers_and_names() -> None:
    with listening() as (_, (_, port, *_)):
        assert isinstance(port, int)
        assert await peer_of_port("127.0.0.1", port) == ("127.0.0.1", port)
        assert await peer_of_port("localhost", port) == ("127.0.0.1", port)
        assert await peer_of_port("", port) == ("127.0.0.1", port)


async def peer_of_port(host: str, port: int) -> object:
    with await dialled(host, port) as sock:
        return sock.getpeername()


def test_families_take_turns() -> None:
    four, six = (
        [(family, (str(n), 1)) for n in range(3)] for family in (socket.AF_INET, socket.AF_INET6)
    )
    assert dialling._in_turns([*six, *four[:2]]) == [six[0], four[0], six[1], four[1], six[2]]
