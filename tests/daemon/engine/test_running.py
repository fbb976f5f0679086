"""Builds as tasks of the daemon's."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from croze.daemon.engine import running
from croze.daemon.engine.running import RunningBuilds
from croze.errors import Canceled, CrozeError, NotFound


class Work:
    """A build that waits until it is let go, and tells how it was ended."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.go = asyncio.Event()
        self.cancelled = False

    async def __call__(self) -> Mapping[str, str]:
        self.begun.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        return {"made": "this"}


async def fails() -> Mapping[str, str]:
    raise CrozeError("no such thing")


async def leave(builds: RunningBuilds, work: Work, *, detached: bool) -> None:
    """Ask for a build, and go away when it has begun."""
    async with asyncio.TaskGroup() as group:
        call = group.create_task(builds.run("ref", work, detached=detached))
        await work.begun.wait()
        call.cancel()


async def test_a_build_ends_with_its_caller() -> None:
    work, builds = Work(), RunningBuilds()
    async with builds.open():
        await leave(builds, work, detached=False)
        assert work.cancelled
        with pytest.raises(NotFound, match="no build ref is running"):
            await builds.cancel("ref")


async def test_a_detached_build_goes_on_and_tells_later() -> None:
    work, builds = Work(), RunningBuilds()
    async with builds.open():
        await leave(builds, work, detached=True)
        assert not work.cancelled
        work.go.set()
        assert await builds.wait("ref") == {"made": "this"}
        assert await builds.wait("ref") == {"made": "this"}, "of one that has ended, too"


async def test_what_a_build_fails_with_is_raised() -> None:
    builds = RunningBuilds()
    async with builds.open():
        for detached in (True, False):
            with pytest.raises(CrozeError, match="no such thing"):
                await builds.run("ref", fails, detached=detached)
        with pytest.raises(CrozeError, match="no such thing"):
            await builds.wait("ref")


async def test_anybody_can_end_a_build() -> None:
    work, builds = Work(), RunningBuilds()
    async with builds.open(), asyncio.TaskGroup() as group:

        async def ask() -> None:
            with pytest.raises(Canceled):
                await builds.run("ref", work, detached=True)

        group.create_task(ask())
        await work.begun.wait()
        await builds.cancel("ref")
        assert work.cancelled


async def test_the_daemons_end_ends_all() -> None:
    work, builds = Work(), RunningBuilds()
    async with builds.open():
        await leave(builds, work, detached=True)
    assert work.cancelled


async def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "REMEMBERED", 2)
    builds = RunningBuilds()
    async with builds.open():
        for number in range(5):
            work = Work()
            work.go.set()
            await builds.run(f"ref{number}", work, detached=True)
        assert await builds.wait("ref4") == {"made": "this"}
        with pytest.raises(NotFound, match="no detached build ref0"):
            await builds.wait("ref0")


async def test_a_build_that_is_ended_before_it_begins() -> None:
    """Who waits for it is told, and is not cancelled for it."""
    work, builds = Work(), RunningBuilds()

    async def ended() -> None:
        with pytest.raises(Canceled):
            await builds.run("ref", work, detached=False)

    async with builds.open(), asyncio.TaskGroup() as group:
        waiting = group.create_task(ended())
        await asyncio.sleep(0)
        await builds.cancel("ref")
        await waiting
    assert not work.begun.is_set()
