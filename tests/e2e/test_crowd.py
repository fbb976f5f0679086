"""A hundred builds at once of twenty Dockerfiles that share half of their steps."""

from __future__ import annotations

import asyncio
import subprocess
from collections import Counter
from pathlib import Path

from croze.client.builds.build import run_build
from croze.client.connect import connect
from croze.client.planning.options import BuildOptions
from croze.progress.quiet import QuietDisplay
from tests.e2e.app import base
from tests.e2e.sandbox import CROZE, Sandbox
from tests.e2e.watched import resident_kb, until
from tests.support.waiting import PATIENCE_S

BUILDS, GRAPHS, STEPS = 100, 20, 4
NOTE = "RUN --mount=type=cache,target=/notes echo {name} >> /notes/all\n"
ROOM_KB = 48 << 10
"""For other graphs than the first, and what is known for a while of builds that have ended."""


def dockerfile(number: int, salt: str) -> str:
    shared = "".join(NOTE.format(name=f"{salt}-shared-{step}") for step in range(STEPS))
    own = "".join(NOTE.format(name=f"{salt}-own-{number}-{step}") for step in range(STEPS))
    return f"FROM base\n{shared}{own}"


async def build_all(sandbox: Sandbox, layout: str, context: Path, salt: str) -> None:
    async def one(number: int) -> None:
        options = BuildOptions(
            context=str(context),
            dockerfile_inline=dockerfile(number % GRAPHS, salt),
            build_contexts=[f"base={layout}"],
            outputs=["type=cacheonly"],
        )
        async with connect(sandbox.address) as client:
            await run_build(client, options, QuietDisplay())

    async with asyncio.timeout(80), asyncio.TaskGroup() as group:
        for number in range(BUILDS):
            group.create_task(one(number))


def test_a_client_that_vanishes_takes_along_what_it_alone_wanted(
    sandbox: Sandbox, busybox: Path
) -> None:
    """Two builds share a step; one of them is killed during it."""
    waits = "RUN --mount=type=cache,target=/n echo up; while [ ! -e /n/go ]; do sleep 0.05; done\n"
    own = sandbox.context("own", {"Dockerfile": f"FROM base\n{waits}RUN sleep 60\n"})
    stays = sandbox.context("stays", {"Dockerfile": f"FROM base\n{waits}RUN echo good\n"})
    go = sandbox.context(
        "go", {"Dockerfile": "FROM base\nRUN --mount=type=cache,target=/n touch /n/go\n"}
    )
    words: list[str | Path] = [CROZE, "build", *base(busybox), "--progress=plain"]
    first = subprocess.Popen([*words, own], env=sandbox.env, stderr=subprocess.PIPE)
    until(first, b" up\n")
    second = subprocess.Popen([*words, stays], env=sandbox.env, stderr=subprocess.PIPE)
    until(second, b" up\n")
    first.kill()
    first.communicate()
    assert second.poll() is None
    sandbox.croze("build", *base(busybox), go)
    said = second.communicate(timeout=PATIENCE_S)[1]
    assert second.returncode == 0, said
    assert b"good" in said


def test_each_step_runs_once_and_memory_stays_flat(sandbox: Sandbox, busybox: Path) -> None:
    layout = base(busybox)[1].partition("=")[2]
    context = sandbox.context("crowd", {"x": "y"})
    assert sandbox.daemon is not None
    asyncio.run(build_all(sandbox, layout, context, "first"))
    after_one = resident_kb(sandbox.daemon.pid)
    for _ in range(2):
        asyncio.run(build_all(sandbox, layout, context, "second"))
    after_all = resident_kb(sandbox.daemon.pid)
    assert after_all - after_one < ROOM_KB, (after_one, after_all)
    notes = sandbox.context(
        "notes",
        {
            "Dockerfile": "FROM base\n"
            + NOTE.replace("echo {name} >> /notes/all", "cp /notes/all /all")
            + "FROM scratch\nCOPY --from=0 /all /\n"
        },
    )
    sandbox.croze("build", *base(busybox), f"--output=type=local,dest={notes}/out", notes)
    ran = Counter((notes / "out/all").read_text().split())
    assert set(ran.values()) == {1}, ran
    assert len(ran) == 2 * (STEPS + GRAPHS * STEPS)
