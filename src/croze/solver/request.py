"""Waiting for an edge's result."""

from __future__ import annotations

import asyncio

from msgspec import Struct

from croze.errors import Canceled, CrozeError
from croze.solver.contract import Edge, Result
from croze.solver.inputs import own_keys
from croze.solver.levels import NOTHING, RESULT
from croze.solver.views import EdgeView


class SolvedResult(Struct, frozen=True):
    """What an edge came to. `result` is the caller's handle; `keys` are the ids of its cache keys
    in the key store. `edge` is what was asked for."""

    result: Result
    keys: tuple[str, ...]
    edge: Edge

    async def release(self) -> None:
        await self.result.release()


class EdgeRequest:
    """Waits for an edge."""

    def __init__(self, edge: EdgeView) -> None:
        self._edge = edge
        loop = asyncio.get_running_loop()
        self._done: asyncio.Future[CrozeError | None] = loop.create_future()
        """The error, which the edge may have forgotten when the waiter gets its turn."""

    def notify(self) -> None:
        if self._edge.finished and not self._done.done():
            self._done.set_result(self._edge.state.error)

    def cancel(self) -> None:
        """Have `fulfil` raise `Canceled`, unless the edge has finished first."""
        if not self._done.done():
            self._done.set_result(Canceled())

    async def fulfil(self) -> SolvedResult:
        """Want the edge until it is there, or until cancelled."""
        self._edge.want(self, RESULT)
        try:
            return await self._wait()
        finally:
            self._edge.want(self, NOTHING)

    async def _wait(self) -> SolvedResult:
        self.notify()
        error = await self._done
        if error is not None:
            raise error.with_traceback(None)  # which would grow with each who asks
        if self._edge.state.result is None:
            raise Canceled()
        return SolvedResult(
            self._edge.clone_result(), tuple(own_keys(self._edge.state)), self._edge.edge
        )
