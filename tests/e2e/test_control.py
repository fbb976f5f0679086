"""Requests as other clients may send them: what they ask for is done, or refused."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest

from croze.api import control_pb2
from croze.api.control_pb2_grpc import ControlStub
from croze.client.connect import Client, connect
from croze.client.layouts.local_caches import prepare_caches
from croze.client.planning.builder import crozed
from croze.client.planning.make import make_plan
from croze.client.planning.options import BuildOptions
from croze.client.solving.lending import Lending
from croze.client.solving.solve import solve_request
from croze.errors import InvalidRequest
from croze.rpc.clients import translated
from croze.session.serve import lend
from tests.e2e.app import base
from tests.e2e.sandbox import Sandbox

if TYPE_CHECKING:
    from croze.api.control_pb2_grpc import ControlAsyncStub

T = TypeVar("T")
HOUR_NS = 3600 * 10**9
HOST = "labels.org.mobyproject.buildkit.worker"


def ask(desk: Sandbox, question: Callable[[Client], Coroutine[None, None, T]]) -> T:
    async def run() -> T:
        async with connect(desk.address) as client:
            return await question(client)

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ([], 1),
        ([f"{HOST}.executor==oci"], 1),
        (['labels."org.mobyproject.buildkit.worker.executor"==oci'], 1),
        ([f"{HOST}.executor==containerd"], 0),
        ([f"{HOST}.executor==containerd", f"{HOST}.snapshotter"], 1),
        (["labels.nosuch"], 0),
        (["labels"], 0),
        (["id~=^[0-9a-z]+$"], 1),
        (["id==x"], 0),
    ],
)
def test_workers_are_filtered(desk: Sandbox, filters: Sequence[str], found: int) -> None:
    assert len(ask(desk, lambda client: client.workers(filters))) == found


def test_a_bad_filter_of_workers_is_refused(desk: Sandbox) -> None:
    with pytest.raises(InvalidRequest, match="parse error"):
        ask(desk, lambda client: client.workers(["=="]))


def test_what_is_new_is_no_older_than_an_hour(sandbox: Sandbox, busybox: Path) -> None:
    """`du` by age, and what `prune` keeps: everything that a build has just made."""
    files = {"Dockerfile": "FROM base\nCOPY f /\nRUN --mount=type=cache,target=/c id\n", "f": "1"}
    context = sandbox.context("new", files)
    for _ in range(2):  # used for the first time, and again
        sandbox.croze("build", *base(busybox), context)
        assert "0B" in sandbox.croze("prune", "--force", "--all", "--filter=until=1h").stdout

        async def by_age(client: Client) -> tuple[int, int]:
            counts = []
            for age in (HOUR_NS, 0):
                request = control_pb2.DiskUsageRequest(ageLimit=age)
                answer = await ControlStub(client.channel).DiskUsage(request)
                counts.append(len(answer.record))
            return counts[0], counts[1]

        old, everything = ask(sandbox, by_age)
        assert old == 0
        assert everything >= 6
        for record in ask(sandbox, lambda client: client.disk_usage()):
            assert record.HasField("LastUsedAt"), record


def test_a_cache_waits_for_the_session_that_lends_it(sandbox: Sandbox, busybox: Path) -> None:
    """Request and session come by two calls, in any order."""
    context = sandbox.context("late", {"Dockerfile": "FROM base\nRUN echo 1 > /f\n"})
    cache = sandbox.path / "cache"
    sandbox.croze("build", *base(busybox), f"--cache-to=type=local,dest={cache}", context)
    sandbox.croze("prune", "--force", "--all")
    wanted = BuildOptions(
        context=str(context),
        build_contexts=[base(busybox)[1]],
        cache_from=[f"type=local,src={cache}"],
        outputs=["type=cacheonly"],
    )

    async def build(client: Client) -> set[str]:
        """What was in the cache."""
        plan = make_plan(wanted, crozed())
        prepare_caches(plan)
        lending, control, found = Lending(plan), ControlStub(client.channel), set[str]()
        lent = lend(client.channel, lending.providers, id="late-session")
        opened = False
        async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
            stack.callback(lending.close)
            solving = group.create_task(solve(control, solve_request(plan, "late", "late-session")))
            async for status in control.Status(control_pb2.StatusRequest(Ref="late")):
                asked = any(v.name.startswith("importing cache") for v in status.vertexes)
                if asked and not opened:
                    opened = True
                    await stack.enter_async_context(lent)
                found |= {v.name for v in status.vertexes if v.cached}
            await solving
        return found

    assert ask(sandbox, build) == {"[1/2] RUN echo 1 > /f"}


async def solve(control: ControlAsyncStub, request: control_pb2.SolveRequest) -> None:
    with translated():
        await control.Solve(request)


def test_names_that_are_none_are_refused_shown_and_removed(sandbox: Sandbox, busybox: Path) -> None:
    """An image of the name `*`, which was once written, is shown and can be removed."""
    context = sandbox.context("named", {"Dockerfile": "FROM base\n"})
    sandbox.croze("build", *base(busybox), "-o", "type=image,name=*", context)
    sandbox.croze("build", *base(busybox), "-t", "good:1", context)
    assert "*" not in sandbox.croze("images").stdout
    sandbox.stop()
    with closing(sqlite3.connect(sandbox.root / "store.db")) as db, db:
        db.execute("INSERT INTO images SELECT '*', data FROM images")
    sandbox.start()
    lines = sandbox.croze("images").stdout.splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [["*", "<none>"], ["good", "1"]]
    sandbox.croze("rmi", "*", "good:1")
    assert len(sandbox.croze("images").stdout.splitlines()) == 1
    missing = sandbox.croze("rmi", "*", check=False)
    assert (missing.code, "invalid reference format" in missing.stderr) == (1, True)


Row = tuple[str, bool, str, int]
"""Type, mutable, description, number of uses."""


def rows(sandbox: Sandbox) -> list[Row]:
    found = ask(sandbox, lambda client: client.disk_usage())
    assert not any(record.InUse for record in found)
    return sorted((r.RecordType, r.Mutable, r.Description, r.UsageCount) for r in found)


def local(name: str, *uses: int) -> list[Row]:
    return [("source.local", True, f"local source for {name}", count) for count in uses]


@pytest.mark.parametrize("uses", [1, 2, 3])
def test_records_are_buildkits(sandbox: Sandbox, busybox: Path, uses: int) -> None:
    """Which there are after a build with the stock client, and how often they were used: what
    `buildkitd` has after the same builds, but that it calls the last step's record mutable until
    something is built on it. A context is read twice, for its `.dockerignore` too."""
    text = "FROM base\nCOPY --from=more x /x\nCOPY f /f\nRUN id\n"
    context = sandbox.context("app", {"Dockerfile": text, "f": "f"})
    more = sandbox.context("more", {"x": "x" * (2 << 20)})
    flags = [*base(busybox), f"--build-context=more={more}", "--output=type=cacheonly"]
    for number in range(uses):
        done = sandbox.buildx("sid", "build", "--progress=plain", *flags, context)
        sent = re.findall(r"transferring more: (\S+)", done.stderr)
        assert any("MB" in size for size in sent) == (number == 0), sent
        # What a collection for want of space makes of it: all is too new to go.
        assert ask(sandbox, collect) == []
    pulled = base(busybox)[1].partition("@")[2]
    assert rows(sandbox) == sorted(
        [
            *local("dockerfile", uses),
            *local("context", uses, uses),
            *local("more", uses, uses),
            ("regular", False, "mount / from exec /bin/sh -c id", uses),
            ("regular", False, "[stage-0 1/4] COPY --from=more x /x", 1),
            ("regular", False, "[stage-0 2/4] COPY f /f", 1),
            ("regular", False, f"pulled from docker.io/library/base@{pulled}", 1),
        ]
    )


async def collect(client: Client) -> list[str]:
    """As the first of the default policies does it, where hardly anything may be kept."""
    gone = client.prune(["type==source.local"], keep_duration_s=48 * 3600, max_used_space=1)
    return [record.Description async for record in gone]
