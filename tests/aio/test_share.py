"""A part of the event loop's time for strangers."""

from __future__ import annotations

import asyncio
import time

import pytest

from croze.aio.share import TimeShare
from tests.support.waiting import PATIENCE_S


def work(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


async def test_who_works_long_waits_longer() -> None:
    share, done = TimeShare(0.2), 0

    async def stranger() -> None:
        nonlocal done
        while True:
            async with share.turn():
                work(0.005)
            done += 1

    begun_s = time.monotonic()
    async with asyncio.TaskGroup() as group:
        strangers = [group.create_task(stranger()) for _ in range(50)]
        while done < 5:
            await asyncio.sleep(0.001)
        for each in strangers:
            each.cancel()
    pauses_s = (done - 1) * 0.005 * 4
    assert time.monotonic() - begun_s > pauses_s


async def test_small_work_does_not_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncio.get_running_loop(), "call_later", None)
    share = TimeShare()
    for _ in range(50):
        async with share.turn():
            pass


async def test_a_turn_that_fails_ends() -> None:
    share = TimeShare()

    async def fail() -> None:
        async with share.turn():
            work(0.003)
            raise ValueError("x")

    async with asyncio.timeout(PATIENCE_S):
        for _ in range(2):
            with pytest.raises(ValueError, match="x"):
                await fail()
