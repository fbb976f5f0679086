"""Steps that wait to be let through, and what a job tells."""

from __future__ import annotations

import asyncio

from croze.solver.contract import OpContext
from croze.solver.solver import Job
from croze.status import StatusEvent, VertexState


class Gate:
    """A step that waits until it is let through."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.open = asyncio.Event()

    async def __call__(self, ctx: OpContext) -> None:
        self.entered.set()
        await self.open.wait()


async def all_events(job: Job) -> list[StatusEvent]:
    return [event async for batch in job.events() for event in batch]


def states(events: list[StatusEvent], name: str) -> list[VertexState]:
    return [e for e in events if isinstance(e, VertexState) and e.name == name]
