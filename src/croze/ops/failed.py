"""What a failed step leaves behind, for those who want to look around in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from croze.errors import NotFound
from croze.ops.exec_mounts import PreparedMounts
from croze.ops.results import ref_of
from croze.solver.contract import OpContext, Result
from croze.store.contract import ImmutableRef

FAILED_STEPS: Final = "failed-steps"
"""The job value that is a build's `FailedSteps`, where it has them."""


class FailedSteps:
    """States of failed steps, by id, as long as the build goes on."""

    def __init__(self) -> None:
        self._kept: dict[str, Result] = {}

    def keep(self, result: Result) -> None:
        """Hold on to it. The handle stays the caller's."""
        if result.id not in self._kept:
            self._kept[result.id] = result.clone()

    def find(self, id: str) -> ImmutableRef | None:
        """Raises `NotFound`. The handle stays where it is."""
        if id not in self._kept:
            raise NotFound(f"no such ref: {id}")
        return ref_of(self._kept[id])

    async def release(self) -> None:
        while self._kept:
            await self._kept.popitem()[1].release()


async def keep_failed(
    ctx: OpContext, inputs: Sequence[Result], mounts: PreparedMounts
) -> tuple[str, ...]:
    """Keep what the step stood on and what it has made of it, if a build asks for that. Ids of
    states, one a mount; empty where a mount has none."""
    keepers = [v for v in ctx.job_values(FAILED_STEPS) if isinstance(v, FailedSteps)]
    if not keepers:
        return ()
    states = await mounts.states()
    for result in [*inputs, *(state for state in states if state is not None)]:
        for keeper in keepers:
            keeper.keep(result)
    for state in states:
        if state is not None:
            await state.release()
    return tuple("" if state is None else state.id for state in states)
