"""A definition that another step wrote into a file, solved in its place (`BuildOp`)."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from google.protobuf.message import DecodeError

from croze.api import ops_pb2
from croze.cachekeys.texts import noted_digest
from croze.errors import InvalidRequest, NotFound, Unsupported
from croze.fs.root import open_beneath
from croze.gotypes import messages
from croze.ops.results import ref_of
from croze.ops.services import OpServices
from croze.solver.contract import CacheMap, InputKeying, OpContext, Result

CACHE_TYPE = "buildkit.build.v0"
LLB_BUILDER = -1
DEFINITION_INPUT = "buildkit.llb.definition"
FILENAME_ATTR = "llbbuild.filename"
DEFAULT_FILENAME = DEFINITION_INPUT
MAX_DEFINITION_BYTES = 64 << 20


class BuildOp:
    """`Op` for a nested build."""

    def __init__(self, services: OpServices, op: ops_pb2.BuildOp, input_count: int) -> None:
        self._services = services
        self._op = op
        self._input_count = input_count

    def cache_map(self, ctx: OpContext, index: int) -> CacheMap:
        # The key really is named so in the text that is hashed.
        text = messages.encode({"Type": CACHE_TYPE, "Exec": self._op})
        return CacheMap(noted_digest(text, "json"), inputs=(InputKeying(),) * self._input_count)

    async def execute(self, ctx: OpContext, inputs: Sequence[Result]) -> Sequence[Result]:
        if self._services.solve_nested is None:
            raise Unsupported("nested builds are not supported here")
        definition = await self._read(ctx, inputs)
        return [await self._services.solve_nested(definition, ctx)]

    async def _read(self, ctx: OpContext, inputs: Sequence[Result]) -> ops_pb2.Definition:
        index = self._definition_input()
        if not 0 <= index < len(inputs):
            raise InvalidRequest(f"invalid index {index}")
        name = self._op.attrs.get(FILENAME_ATTR, DEFAULT_FILENAME)
        ref = ref_of(inputs[index])
        if ref is None:
            raise NotFound(f"failed to open {name}: no such file or directory")
        async with ref.mounted(readonly=True, sessions=ctx.sessions()) as root:
            data = _read_file(root, name)
        try:
            return ops_pb2.Definition.FromString(data)
        except DecodeError as error:
            raise InvalidRequest(f"{name} is not a definition: {error}") from error

    def _definition_input(self) -> int:
        if self._op.builder != LLB_BUILDER:
            raise InvalidRequest("only LLB builder is currently allowed")
        if DEFINITION_INPUT not in self._op.inputs:
            raise InvalidRequest(f"no llb definition input {DEFINITION_INPUT} found")
        return self._op.inputs[DEFINITION_INPUT].input


def _read_file(root: Path, name: str) -> bytes:
    try:
        fd = open_beneath(str(root), name, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        raise NotFound(f"failed to open {name}: {reason}") from error
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise InvalidRequest(f"{name} is not a regular file")
    with os.fdopen(fd, "rb") as file:
        data = file.read(MAX_DEFINITION_BYTES + 1)
    if len(data) > MAX_DEFINITION_BYTES:
        raise InvalidRequest(f"{name} exceeds {MAX_DEFINITION_BYTES} bytes")
    return data
