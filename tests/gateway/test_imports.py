"""Caches that a build imports, and what goes on while they are opened."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from croze import llb
from croze.errors import CrozeError, NotFound
from croze.gateway.bridge import evaluate
from croze.gateway.imports import CacheImport
from croze.gateway.requests import BridgeRequest
from croze.gateway.results import BridgeRef
from croze.solver.caches import CacheSource
from croze.solver.contract import OpContext
from tests.gateway.world import World, local

CACHE = CacheImport("registry", {"ref": "host/cache"})


class SlowOpener:
    """Opens nothing, and not before it is told to."""

    def __init__(self) -> None:
        self.begun, self.may_end = asyncio.Event(), asyncio.Event()
        self.seen: list[str] = []

    async def __call__(self, cache: CacheImport, session: str, ctx: OpContext) -> list[CacheSource]:
        self.seen.append(cache.id)
        self.begun.set()
        try:
            await self.may_end.wait()
        except asyncio.CancelledError:
            self.seen.append("cancelled")
            raise
        raise NotFound("no such cache")


async def test_a_clients_directory_waits_for_no_cache(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("hello")
    opener = SlowOpener()
    world = World({"ctx": tmp_path}, caches=opener)
    async with world.bridge() as (bridge, _):
        result = await bridge.solve(BridgeRequest(local("ctx"), caches=[CACHE]))
        await opener.begun.wait()
        assert result.ref is not None
        assert await result.ref.read_file("f") == b"hello"
        assert not bridge.imports.are_open
    assert opener.seen == ["host/cache", "cancelled"], "the build ended without it"


async def test_what_is_lent_is_brought_while_a_cache_is_opened(tmp_path: Path) -> None:
    opener = SlowOpener()
    world = World({"ctx": tmp_path, "": tmp_path}, caches=opener)
    step = llb.scratch().file(llb.copy(llb.local("ctx"), "/f", "/")).marshal()
    async with world.bridge() as (bridge, _), asyncio.TaskGroup() as tasks:
        result = await bridge.solve(BridgeRequest(step, caches=[CACHE, CACHE]))
        building = tasks.create_task(evaluate(result))
        while world.ran != ["ctx"]:
            await asyncio.sleep(0)
        assert not building.done(), "the cache may have the step"
        opener.may_end.set()
    assert world.ran == ["ctx", ""]
    assert opener.seen == ["host/cache"]


async def test_what_is_lent_and_is_not_there_fails_the_build(tmp_path: Path) -> None:
    opener = SlowOpener()
    world = World({"": tmp_path}, caches=opener)
    step = llb.scratch().file(llb.copy(llb.local("gone"), "/f", "/")).marshal()
    async with world.bridge() as (bridge, _):
        result = await bridge.solve(BridgeRequest(step, caches=[CACHE]))
        async with asyncio.TaskGroup() as tasks:
            assert result.ref is not None
            building = tasks.create_task(failure(result.ref))
            while world.ran != ["gone"]:
                await asyncio.sleep(0)
            opener.may_end.set()
    assert "no local directory gone" in building.result()


async def failure(ref: BridgeRef) -> str:
    with pytest.raises(CrozeError) as caught:
        await ref.evaluate()
    return str(caught.value)
