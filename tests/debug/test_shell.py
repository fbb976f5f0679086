"""A shell in a stopped build, and a terminal that shows what it says."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import cast

from croze.api import gateway_pb2, stat_pb2
from croze.debug.dap.shell import TerminalShell
from croze.debug.failure import BuildOutcome
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
    with socket.socket(socket.AF_UNIX) as terminal:
        terminal.setblocking(False)
        await asyncio.get_running_loop().sock_connect(terminal, path)
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
