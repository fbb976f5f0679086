"""What a failed step leaves behind, for those who want to look around in it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from msgspec.structs import replace

from croze.errors import CrozeError, FailedContent, NotFound, SolveDetail
from croze.job_values import JobKey
from croze.ops.content import ContentKey
from croze.ops.exec_mounts import PreparedMounts
from croze.ops.results import ref_of
from croze.solver.contract import CacheMap, InputKeying, OpContext, Result
from croze.store.contract import ImmutableRef


class FailedSteps:
    """States of failed steps, by id, as long as the build goes on."""

    def __init__(self) -> None:
        self._kept: dict[str, Result] = {}

    def keep(self, result: Result) -> None:
        """Hold on to a failed step's state. The caller keeps its own handle."""
        if result.id not in self._kept:
            self._kept[result.id] = result.clone()

    def find(self, id: str) -> ImmutableRef | None:
        """A state that was kept, by its id; None for an empty filesystem. The handle stays where it
        is. Raises `NotFound`."""
        if id not in self._kept:
            raise NotFound(f"no such ref: {id}")
        return ref_of(self._kept[id])

    async def release(self) -> None:
        while self._kept:
            await self._kept.popitem()[1].release()


FAILED_STEPS: Final = JobKey[FailedSteps]("failed-steps")
"""A build's, where it has them."""


def id_of(result: Result | None) -> str:
    """The id under which a state is kept; empty for a mount or action that has none."""
    return "" if result is None else result.id


def keep(ctx: OpContext, results: Iterable[Result | None]) -> bool:
    """Keep states for the builds that ask for them; False if none does. The handles stay the
    caller's."""
    keepers = ctx.job_values(FAILED_STEPS)
    for result in results:
        if result is not None:
            for keeper in keepers:
                keeper.keep(result)
    return bool(keepers)


async def keep_mounts(
    ctx: OpContext, inputs: Sequence[Result | None], mounts: PreparedMounts
) -> tuple[str, ...]:
    """Keep what a failed step stood on (`inputs`, one a mount) and what it has made of it. Ids of
    states, one a mount; none at all where no build asks for them."""
    if not keep(ctx, inputs):
        return ()
    states = await mounts.states()
    keep(ctx, states)
    for state in states:
        if state is not None:
            await state.release()
    return tuple(id_of(state or source) for state, source in zip(states, inputs, strict=True))


def naming_op_in_errors(map: CacheMap, op: bytes) -> CacheMap:
    """The cache map, but what goes wrong while an input's content is read then names the op and the
    input, and leaves that to look at."""

    def named(index: int, keying: InputKeying) -> InputKeying:
        if not isinstance(keying.content, ContentKey):
            return keying
        return replace(keying, content=_OpNamingKey(keying.content, op, index))

    if not any(keying.content for keying in map.inputs):
        return map  # as most are, of thousands
    return replace(map, inputs=tuple(named(i, keying) for i, keying in enumerate(map.inputs)))


class _OpNamingKey(ContentKey):
    """Says of which op's which input it is when it fails."""

    def __init__(self, key: ContentKey, op: bytes, index: int) -> None:
        super().__init__(key.contents, key.queries)
        self._op = op
        self._index = index

    async def __call__(self, result: Result, ctx: OpContext) -> str:
        try:
            return await super().__call__(result, ctx)
        except CrozeError as error:
            keep(ctx, [result])
            names = dict(ctx.vertex.description)
            subject = FailedContent(self._index)
            detail = SolveDetail(self._op, names, (result.id,), subject=subject)
            raise error.with_detail(detail) from error.__cause__
