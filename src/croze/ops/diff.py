"""What one filesystem changed against another (`DiffOp`)."""

from __future__ import annotations

from collections.abc import Sequence

from croze.api import ops_pb2
from croze.cachekeys.texts import noted_digest
from croze.errors import InvalidRequest
from croze.gotypes import messages
from croze.ops.results import RefResult, ref_of
from croze.ops.services import OpServices
from croze.ops.validate import EMPTY
from croze.solver.contract import CacheMap, InputKeying, OpContext, Result
from croze.store.contract import ImmutableRef

CACHE_TYPE = "buildkit.diff.v0"


class DiffOp:
    """`Op` for a diff. The vertex has one input a side, none for a side that is scratch."""

    def __init__(self, services: OpServices, op: ops_pb2.DiffOp) -> None:
        self._services = services
        self._op = op

    def cache_map(self, ctx: OpContext, index: int) -> CacheMap:
        text = messages.encode({"Type": CACHE_TYPE, "Diff": self._op})
        sides = sum(side.input != EMPTY for side in (self._op.lower, self._op.upper))
        return CacheMap(noted_digest(text, "json"), inputs=(InputKeying(),) * sides)

    async def execute(self, ctx: OpContext, inputs: Sequence[Result]) -> Sequence[Result]:
        has_lower = self._op.lower.input != EMPTY
        lower = _side("lower", inputs, 0) if has_lower else None
        upper = _side("upper", inputs, int(has_lower)) if self._op.upper.input != EMPTY else None
        if lower is None:
            return [RefResult(None if upper is None else upper.clone())]
        if upper is not None and upper.id == lower.id:
            return [RefResult(None)]
        ref = await self._services.refs.diff(lower, upper, description=ctx.vertex.name)
        return [RefResult(ref)]


def _side(name: str, inputs: Sequence[Result], index: int) -> ImmutableRef | None:
    if index >= len(inputs):
        raise InvalidRequest(
            f"invalid {name} input index {index} for diff op with {len(inputs)} inputs"
        )
    return ref_of(inputs[index])
