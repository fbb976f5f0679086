"""Inputs handed on as outputs, under a key of their own (`PassthroughOp`)."""

from __future__ import annotations

from collections.abc import Sequence

from croze.api import ops_pb2
from croze.cachekeys.texts import noted_digest
from croze.errors import InvalidRequest
from croze.gotypes import messages
from croze.solver.contract import CacheMap, InputKeying, OpContext, Result

CACHE_TYPE = "buildkit.passthrough.v0"


class PassthroughOp:
    """`Op` that does no work."""

    def __init__(self, op: ops_pb2.PassthroughOp, input_count: int) -> None:
        self._op = op
        self._input_count = input_count

    def cache_map(self, ctx: OpContext, index: int) -> CacheMap:
        text = messages.encode({"Type": CACHE_TYPE, "Passthrough": self._op})
        return CacheMap(noted_digest(text, "json"), inputs=(InputKeying(),) * self._input_count)

    async def execute(self, ctx: OpContext, inputs: Sequence[Result]) -> Sequence[Result]:
        for index in self._op.outputs:
            if not 0 <= index < len(inputs):
                raise InvalidRequest(f"invalid passthrough output input index {index}")
        return [inputs[index].clone() for index in self._op.outputs]
