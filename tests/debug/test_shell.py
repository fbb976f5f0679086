"""A shell in a stopped build, and a terminal that shows what it says."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from types import SimpleNamespace
from typing import cast

import pytest

from croze.api import gateway_pb2, stat_pb2
from croze.debug import terminal
from croze.debug.dap.shell import TerminalShell
from croze.debug.failure import BuildOutcome
from croze.debug.terminal import Keyboard
from croze.rpc.held import HeldBuild
from tests.support.waiting import PATIENCE_S

PIECE = bytes(1 << 16)
PIECES = 1000


class ExecCall:
    """A call that there is something to read of."""

    def __init__(self, messages: AsyncIterator[gateway_pb2.ExecMessage]) -> None:
        self._messages = messages

    def __aiter__(self) -> AsyncIterator[gateway_pb2.ExecMessage]:
        return self._messages

    def cancel(self) -> None:
        """Nothing is under way."""


class Flood:
    """The daemon's side of a process that says more than anybody reads."""

    def __init__(self) -> None:
        self.said = 0

    async def exec(self) -> AsyncIterator[gateway_pb2.ExecMessage]:
        while self.said < PIECES:
            self.said += 1
            yield gateway_pb2.ExecMessage(File=gateway_pb2.FdMessage(Fd=1, Data=PIECE))
            await asyncio.sleep(0)
        yield gateway_pb2.ExecMessage(Done=gateway_pb2.DoneMessage())

    async def _none(self, *_: object, **__: object) -> None:
        pass

    async def _stat(self, *_: object, **__: object) -> gateway_pb2.StatFileResponse:
        return gateway_pb2.StatFileResponse(stat=stat_pb2.Stat(mode=0o755))

    def bridge(self) -> HeldBuild:
        stub = SimpleNamespace(
            NewContainer=self._none,
            ReleaseContainer=self._none,
            StatFileContainer=self._stat,
            ExecProcess=lambda *_, **__: ExecCall(self.exec()),
        )
        return cast(HeldBuild, SimpleNamespace(stub=stub, metadata=()))


async def test_a_terminal_that_reads_nothing() -> None:
    """The process waits for it: what it says is not kept here."""
    flood, shell = Flood(), TerminalShell()
    path = await shell.listen()
    with socket.socket(socket.AF_UNIX) as reading:
        reading.setblocking(False)
        await asyncio.get_running_loop().sock_connect(reading, path)
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(shell.serve(flood.bridge(), BuildOutcome("ref"), 1))
            before = -1
            async with asyncio.timeout(PATIENCE_S):
                while flood.said > before or not flood.said:
                    before = flood.said
                    await asyncio.sleep(0.2)
            assert flood.said < PIECES
            serving.cancel()
    await shell.close()


class Deaf(Flood):
    """The daemon's side of a process that reads nothing."""

    async def exec(self) -> AsyncIterator[gateway_pb2.ExecMessage]:
        await asyncio.Event().wait()
        yield gateway_pb2.ExecMessage()


async def test_a_process_that_reads_nothing() -> None:
    """What is typed stays with who types it, until the process has ended."""
    shell, sent = TerminalShell(), 0
    path = await shell.listen()
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX) as typing:
        typing.setblocking(False)
        await loop.sock_connect(typing, path)
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(shell.serve(Deaf().bridge(), BuildOutcome("ref"), 1))
            said = b""
            while b"Running" not in said:
                said += await loop.sock_recv(typing, 1 << 16)
            with suppress(TimeoutError):
                while sent < PIECES:
                    async with asyncio.timeout(0.5):
                        await loop.sock_sendall(typing, PIECE)
                    sent += 1
            assert sent < PIECES // 4
            serving.cancel()
    await shell.close()


async def test_keys_that_nobody_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    typed = iter([PIECE] * PIECES)
    read = 0

    def keys(fd: int, size: int) -> bytes:
        nonlocal read
        read += 1
        return next(typed, b"")

    monkeypatch.setattr(terminal, "os", SimpleNamespace(read=keys))
    keyboard = Keyboard()
    assert await keyboard.read() == PIECE
    await asyncio.sleep(0.2)
    assert read < PIECES // 4
    while await keyboard.read():
        pass
    assert read == PIECES + 1
