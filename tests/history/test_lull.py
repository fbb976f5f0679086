"""Work is put off while builds begin and end, but not for long."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from croze.history.lull import Lull


async def come_after_s(monkeypatch: pytest.MonkeyPatch, *, builds: bool) -> float:
    """How long it takes to come, by a clock that goes on whenever it is looked at, while `builds`
    begin and end all the time or none does."""
    loop, lull = asyncio.get_running_loop(), Lull()
    clock = itertools.count(loop.time(), 0.001)
    with monkeypatch.context() as patched:
        patched.setattr(loop, "time", lambda: next(clock))
        begun_s = next(clock)
        lull.want()
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(lull.wait())
            while not waiting.done():
                if builds:
                    lull.put_off()
                await asyncio.sleep(0)
        return next(clock) - begun_s


async def test_it_comes_when_no_build_begins_or_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 0.03 < await come_after_s(monkeypatch, builds=False) < 0.08


async def test_it_comes_before_long_whatever_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 0.1 < await come_after_s(monkeypatch, builds=True) < 0.15


async def test_whoever_cannot_wait_has_it_now() -> None:
    lull = Lull(lull_s=60, latest_s=60)
    await lull.wait()  # nobody wanted one
    lull.want()
    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(lull.wait()) for _ in range(2)]
        await asyncio.sleep(0)
        assert not any(task.done() for task in waiting)
        lull.hurry()
    lull.want()
    lull.hurry()
    await lull.wait()
