"""What failed steps leave to look at: which op, which part of it, and the states."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import pytest

from croze import llb
from croze.api import ops_pb2
from croze.errors import CrozeError, FailedAction, FailedContent, SolveDetail
from croze.fs.content.checksum import Query
from croze.llb.state import State
from croze.ops.content import ContentDigests, ContentKey
from croze.ops.failed import FailedSteps, naming_op_in_errors
from croze.solver.contract import CacheMap, InputKeying
from croze.workers.shares import Shares
from tests.ops.conftest import ThreadWorkers
from tests.ops.world import World

pytestmark = pytest.mark.root


@pytest.fixture
async def keeping(world: World) -> AsyncIterator[World]:
    world.failed = FailedSteps()
    yield world
    await world.failed.release()


async def failure(world: World, state: State) -> SolveDetail:
    with pytest.raises(CrozeError) as caught:
        await world.files(state)
    (detail,) = [d for d in caught.value.details if isinstance(d, SolveDetail)]
    assert ops_pb2.Op.FromString(detail.op).WhichOneof("op") in ("exec", "file")
    return detail


async def names(world: World, ids: Sequence[str]) -> list[set[str] | None]:
    """The files of states, None for an id that is empty."""
    assert world.failed is not None
    found: list[set[str] | None] = []
    for id in ids:
        ref = world.failed.find(id) if id else None
        if ref is None:
            found.append(None)
            continue
        async with ref.mounted(readonly=True) as root:
            files = (p for p in root.rglob("*") if p.is_file())
            found.append({str(p.relative_to(root)) for p in files} - {"bin/busybox"})
    return found


async def test_every_mount_of_a_step(keeping: World) -> None:
    data = llb.scratch().file(llb.mkfile("/in", "1"))
    run = llb.source("tree://busybox", {}).run(
        ["/bin/sh", "-c", "echo > /made; echo > /rw/made; echo > /away/made; exit 1"],
        mounts=[
            llb.bind("/rw", llb.scratch()),
            llb.bind("/away", data, no_output=True),
            llb.bind("/ro", data, readonly=True, no_output=True),
        ],
    )
    detail = await failure(keeping, run.root)
    before, after = await names(keeping, detail.input_ids), await names(keeping, detail.mount_ids)
    by_mount = {m.dest: i for i, m in enumerate(ops_pb2.Op.FromString(detail.op).exec.mounts)}
    assert [before[by_mount[d]] for d in ("/rw", "/away", "/ro")] == [None, {"in"}, {"in"}]
    root = after[by_mount["/"]]
    assert root is not None
    assert "made" in root
    assert after[by_mount["/rw"]] == {"made"}
    assert after[by_mount["/away"]] == {"in", "made"}
    assert after[by_mount["/ro"]] == {"in"}


async def test_every_action_of_a_file_op(keeping: World) -> None:
    state = llb.scratch().file(
        llb.mkdir("/found").mkfile("/found/foo", "1").mkfile("/notfound/foo", "2")
    )
    detail = await failure(keeping, state)
    assert detail.subject == FailedAction(2)
    assert detail.input_ids == ()
    assert await names(keeping, detail.mount_ids) == [{"found/foo"}] * 3


async def test_a_file_op_shows_what_it_copied_from(keeping: World) -> None:
    source = llb.scratch().file(llb.mkfile("/bar", "1"))
    state = llb.scratch().file(llb.copy(source, "/bar", "/notfound/baz"))
    detail = await failure(keeping, state)
    assert detail.subject == FailedAction(0)
    assert await names(keeping, detail.input_ids) == [{"bar"}]
    assert await names(keeping, detail.mount_ids) == [set()]


async def test_an_input_whose_content_is_not_there(keeping: World) -> None:
    data = llb.scratch().file(llb.mkfile("/found", "1"))
    run = llb.source("tree://busybox", {}).run(
        ["/bin/true"], mounts=[llb.bind("/src", data, selector="/notfound", readonly=True)]
    )
    detail = await failure(keeping, run.root)
    assert isinstance(detail.subject, FailedContent)
    assert await names(keeping, detail.input_ids) == [{"found"}]
    assert detail.mount_ids == ()


async def test_nothing_is_kept_unless_a_build_asks(world: World) -> None:
    detail = await failure(world, llb.source("tree://busybox", {}).run(["/bin/false"]).root)
    assert detail.mount_ids == ()


def test_blame_does_not_hide_which_files_are_asked_for() -> None:
    key = ContentKey(ContentDigests(ThreadWorkers(), Shares(2, 8)), [Query("/src/")])
    made = naming_op_in_errors(CacheMap("sha256:0", (InputKeying(content=key),)), b"op")
    content = made.inputs[0].content
    assert isinstance(content, ContentKey)
    assert content.queries == (Query("/src/"),)
