"""`kill -9` at random instants of a mixed workload: nothing that was promised is lost."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from pathlib import Path

import pytest

from croze.client.connect import connect
from croze.client.crozed.calls import CrozedClient
from tests.e2e.app import base
from tests.e2e.sandbox import Sandbox
from tests.e2e.workload import Workload, write_context
from tests.support.processes import ran_s

ROUNDS = int(os.environ.get("CROZE_KILLS", "200"))
SEED = int(os.environ.get("CROZE_SEED", "20240229"))
"""Fixed, so that a failure can be had again; `CROZE_SEED=0` draws one."""
LONGEST_S = 0.25
"""Of the daemon's own work: on a busy machine nothing is done sooner than that."""


@pytest.mark.timeout(900)
def test_killed_at_random_instants(stopped: Sandbox, busybox: Path, local_registry: str) -> None:
    seed = SEED or int.from_bytes(os.urandom(4))
    print(f"CROZE_SEED={seed}")
    chance = random.Random(seed)
    context, out = stopped.path / "context", stopped.path / "out"
    write_context(context)
    out.mkdir()
    layout = base(busybox)[1].partition("=")[2]
    finished = 0
    for number in range(ROUNDS):
        work = Workload(
            stopped.address, context, out, layout, local_registry, chance.randrange(2**32)
        )
        stopped.start("--file-workers=1")
        after = chance.uniform(0, LONGEST_S)
        where = f"seed {seed}, round {number}, killed after {after:.3f} s of work"
        problems = asyncio.run(_round(stopped, work, after))
        assert problems == [], f"{where}: {problems}\n{stopped.log_text()[-4000:]}"
        finished += work.done
    assert finished > ROUNDS // 4, "the workload hardly gets anything done"
    stopped.start()
    assert "Traceback" not in stopped.log_text(), stopped.log_text()[-4000:]


async def _round(stopped: Sandbox, work: Workload, after_s: float) -> list[str]:
    """Look at what the last kill left, build, then work until the next."""
    async with connect(stopped.address) as client:
        # This process's gRPC remembers that the last daemon refused it.
        await client.wait_ready(10)
        problems = await CrozedClient(client.channel).verify()
    await work.build("type=cacheonly")  # the containers of the last run are gone before one starts
    problems += _left_behind(stopped)
    async with asyncio.TaskGroup() as group:
        working = group.create_task(work.run())
        assert stopped.daemon is not None
        begun_s = ran_s(stopped.daemon.pid)
        while ran_s(stopped.daemon.pid) < begun_s + after_s and not working.done():
            await asyncio.sleep(0.002)
        work.daemon_is_gone = True
        stopped.stop(signal.SIGKILL)
        working.cancel()
    return problems


def _left_behind(stopped: Sandbox) -> list[str]:
    """Containers and mounts that the start should have swept."""
    pids = stopped.root / "executor/pid"
    found = [str(entry) for entry in pids.iterdir()] if pids.exists() else []
    mounts = Path(f"/proc/{stopped.daemon.pid}/mounts") if stopped.daemon else Path(os.devnull)
    found += [line for line in mounts.read_text().splitlines() if f"{stopped.root}/mnt/" in line]
    return found
