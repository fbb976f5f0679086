"""The processes of a monitor, all in one container as long as that is of use.

Source: buildx `monitor/processes`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

from msgspec import Struct
from msgspec.structs import replace

from croze.debug.containers import DebugContainer, DebugProcess, open_container
from croze.debug.failure import BuildOutcome
from croze.debug.invocation import Invocation
from croze.errors import CrozeError, InvalidRequest
from croze.rpc.held import HeldBuild


class Running(Struct, eq=False):
    """A process, and the task that carries it."""

    process: DebugProcess
    invocation: Invocation
    task: asyncio.Task[None] | None = None

    @property
    def id(self) -> str:
        return self.process.id


WrittenBy = Callable[[str, int, bytes], None]
"""The process's id, which of its descriptors, and what."""

Ended = Callable[[Running, CrozeError | None], None]
"""Told when a process has ended by itself, and why if it failed."""


class DebugProcesses:
    """The processes of a monitor. `group` is what their tasks are of."""

    def __init__(
        self,
        bridge: HeldBuild,
        outcome: BuildOutcome | None,
        ended: Ended,
        group: asyncio.TaskGroup,
    ) -> None:
        self._group = group
        self._bridge = bridge
        self._outcome = outcome
        self._ended = ended
        self._container: DebugContainer | None = None
        self._running: dict[str, Running] = {}
        self._replacing = asyncio.Lock()

    def __iter__(self) -> Iterator[Running]:
        return iter(list(self._running.values()))

    def get(self, id: str) -> Running | None:
        return self._running.get(id)

    def start(self, invocation: Invocation, written: WrittenBy, *, anew: bool) -> Running:
        """Start a process, in a container of its own if that is wanted, or if the one there is is
        of no use."""
        own_invocation = replace(invocation)

        async def shown(fd: int, data: bytes) -> None:
            written(process.id, fd, data)

        process = DebugProcess(shown)
        running = Running(process, own_invocation)
        running.task = self._group.create_task(self._carry(running, anew=anew))
        self._running[running.id] = running
        return running

    async def _carry(self, running: Running, *, anew: bool) -> None:
        failed: CrozeError | None = None
        try:
            container = await self._container_for(running, anew=anew)
            await container.run(running.invocation, running.process)
        except CrozeError as error:
            failed = error
        finally:
            running.process.close()
        self._running.pop(running.id, None)
        self._ended(running, failed)

    async def _container_for(self, running: Running, *, anew: bool) -> DebugContainer:
        async with self._replacing:
            old = self._container
            if old is not None and old.usable and not anew:
                return old
            if self._outcome is None:
                raise InvalidRequest("no build result is registered")
            await self._cancel(but=running)
            if old is not None:
                self._container = None
                await old.release()
            try:
                container = await open_container(self._bridge, self._outcome, running.invocation)
            except CrozeError as error:
                message = f"failed to create container {error}"
                raise error.with_message(message) from error.__cause__
            self._container = container
            return container

    async def _cancel(self, but: Running | None = None) -> None:
        going = [each for each in self._running.values() if each is not but]
        for each in going:
            self._running.pop(each.id, None)
            if each.task is not None:
                each.task.cancel()
        await asyncio.gather(*(each.task for each in going if each.task), return_exceptions=True)

    async def close(self) -> None:
        """End all that runs, and the container."""
        await self._cancel()
        if self._container is not None:
            await self._container.release()
