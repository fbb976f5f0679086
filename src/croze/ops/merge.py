"""Filesystems on top of each other (`MergeOp`)."""

from __future__ import annotations

from collections.abc import Sequence

from croze.api import ops_pb2
from croze.cachekeys.texts import noted_digest
from croze.errors import InvalidRequest
from croze.gotypes import messages
from croze.ops.results import RefResult, ref_of
from croze.ops.services import OpServices
from croze.solver.contract import CacheMap, InputKeying, OpContext, Result

CACHE_TYPE = "buildkit.merge.v0"


class MergeOp:
    """`Op` for a merge; later inputs win. Nothing is copied where layers can be stacked."""

    def __init__(self, services: OpServices, op: ops_pb2.MergeOp) -> None:
        self._services = services
        self._op = op

    def cache_map(self, ctx: OpContext, index: int) -> CacheMap:
        text = messages.encode({"Type": CACHE_TYPE, "Merge": self._op})
        return CacheMap(noted_digest(text, "json"), inputs=(InputKeying(),) * len(self._op.inputs))

    async def execute(self, ctx: OpContext, inputs: Sequence[Result]) -> Sequence[Result]:
        refs = [ref for result in inputs if (ref := ref_of(result)) is not None]
        if not refs:
            raise InvalidRequest("invalid response from exec need 0 index but 0 results received")
        if len(refs) == 1:
            return [RefResult(refs[0].clone())]
        merged = await self._services.refs.merge(refs, description=ctx.vertex.name)
        return [RefResult(merged)]
