"""Prunes beside builds, of everything and again and again: no build loses what it stands on."""

from __future__ import annotations

import asyncio
from pathlib import Path

from croze.client.connect import connect
from croze.client.crozed.calls import CrozedClient
from tests.e2e.app import base
from tests.e2e.sandbox import Sandbox
from tests.e2e.workload import Workload, write_context

BUILDS = 24


async def prune_until(address: str, over: asyncio.Event) -> int:
    """Everything, all the time; how much went."""
    gone = 0
    async with connect(address) as client:
        while not over.is_set():
            async for _ in client.prune(all=True):
                gone += 1
    return gone


async def build_beside(sandbox: Sandbox, work: Workload) -> int:
    over = asyncio.Event()
    async with asyncio.timeout(100), asyncio.TaskGroup() as group:
        pruning = group.create_task(prune_until(sandbox.address, over))

        async def some() -> None:
            for _ in range(BUILDS // 3):
                await work.build()

        async with asyncio.TaskGroup() as builds:
            for _ in range(3):
                builds.create_task(some())
        over.set()
    async with connect(sandbox.address) as client:
        assert await CrozedClient(client.channel).verify() == []
        async for _ in client.prune(all=True):
            pass
        records = [record for record in await client.disk_usage() if not record.InUse]
        assert [record for record in records if not record.Shared] == [], records
    return pruning.result()


def test_prunes_beside_builds(sandbox: Sandbox, busybox: Path, local_registry: str) -> None:
    context, out = sandbox.path / "context", sandbox.path / "out"
    write_context(context)
    out.mkdir()
    layout = base(busybox)[1].partition("=")[2]
    work = Workload(sandbox.address, context, out, layout, local_registry, seed=5)
    assert asyncio.run(build_beside(sandbox, work)) > BUILDS
