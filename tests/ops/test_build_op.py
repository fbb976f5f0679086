"""A definition out of a file, solved in the build op's place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from msgspec import structs

from croze import llb
from croze.api import ops_pb2
from croze.errors import CrozeError
from croze.ops.build import BuildOp
from croze.ops.results import RefResult
from croze.solver.contract import OpContext, Result, Vertex
from tests.ops.conftest import FakeContext
from tests.ops.world import World

pytestmark = pytest.mark.root


def build_op(filename: str = "") -> ops_pb2.BuildOp:
    op = ops_pb2.BuildOp(builder=-1)
    op.inputs["buildkit.llb.definition"].input = 0
    if filename:
        op.attrs["llbbuild.filename"] = filename
    return op


async def run(world: World, op: ops_pb2.BuildOp, files: llb.State) -> Sequence[Result]:
    async def nested(definition: ops_pb2.Definition, ctx: OpContext) -> Result:
        return RefResult(None) if definition == wanted() else fail()

    def fail() -> Any:
        raise AssertionError("another definition")

    services = structs.replace(world.services, solve_nested=nested)
    async with world.built(files) as ref:
        inputs = [RefResult(ref)]
        return await BuildOp(services, op, 1).execute(FakeContext(Vertex("d", None)), inputs)


def wanted() -> ops_pb2.Definition:
    return llb.source("tree://x", {}).file(llb.mkdir("/a")).marshal()


def holding(path: str, data: bytes) -> llb.State:
    return llb.scratch().file(llb.mkfile(path, data))


@pytest.mark.parametrize("name", ["", "my.llb"])
async def test_it_solves_what_the_file_says(world: World, name: str) -> None:
    data = wanted().SerializeToString()
    files = holding("/" + (name or "buildkit.llb.definition"), data)
    (result,) = await run(world, build_op(name), files)
    assert result.id == "scratch"


async def test_what_is_refused(world: World) -> None:
    with pytest.raises(CrozeError, match=r"failed to open my\.llb: no such file or directory"):
        await run(world, build_op("my.llb"), holding("/x", b""))
    with pytest.raises(CrozeError, match="is not a definition"):
        await run(world, build_op("x"), holding("/x", b"\xff\xff"))
    with pytest.raises(CrozeError, match="only LLB builder is currently allowed"):
        await run(world, ops_pb2.BuildOp(builder=0), holding("/x", b""))
    with pytest.raises(CrozeError, match="d is not a regular file"):
        await run(world, build_op("d"), llb.scratch().file(llb.mkdir("/d")))
