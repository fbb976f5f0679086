"""What is made at most once."""

from __future__ import annotations

import asyncio

from croze.aio.once import Once


async def test_once_goes_on_when_the_first_one_leaves() -> None:
    entered, go = asyncio.Event(), asyncio.Event()
    made = 0

    async def make() -> int:
        nonlocal made
        made += 1
        entered.set()
        await go.wait()
        return made

    once = Once(make)
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(once.get())
        await entered.wait()
        second = tasks.create_task(once.get())
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(0)
        go.set()
        assert await second == 2
        assert await once.get() == 2
    assert once.value == 2
