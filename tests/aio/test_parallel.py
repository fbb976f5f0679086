"""Work beside a block."""

from __future__ import annotations

import asyncio

import pytest

from croze.aio.parallel import meanwhile, task_group
from croze.errors import Corrupted, NotFound


async def test_what_is_not_done_ends_with_the_block() -> None:
    seen: list[str] = []

    async def work(name: str, go: asyncio.Event) -> None:
        try:
            await go.wait()
            seen.append(f"{name} is done")
        except asyncio.CancelledError:
            seen.append(f"{name} is cancelled")
            raise

    one, other = asyncio.Event(), asyncio.Event()

    async def block() -> None:
        async with meanwhile() as beside:
            beside.begin(work("one", one))
            beside.begin(work("other", other))
            one.set()
            for _ in range(3):
                await asyncio.sleep(0)
            raise NotFound("nothing")

    with pytest.raises(NotFound, match="nothing"):
        await block()
    assert seen == ["one is done", "other is cancelled"]


async def test_what_is_late_is_not_begun() -> None:
    """By calls of a frontend, say, that come while its build ends."""
    seen: list[str] = []

    async def work() -> None:
        seen.append("begun")

    async with meanwhile() as beside:
        pass
    beside.begin(work())
    assert not seen


async def test_a_cancelled_block_takes_its_work_along() -> None:
    begun, ended = asyncio.Event(), False

    async def work() -> None:
        nonlocal ended
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended = True

    async def block() -> None:
        async with meanwhile() as beside:
            beside.begin(work())
            await asyncio.Event().wait()

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(block())
        await begun.wait()
        task.cancel()
    assert task.cancelled()
    assert ended


async def test_a_group_takes_in_nothing_of_what_its_block_raises() -> None:
    """And cancels none of its tasks for it: the block says when they end."""
    over, seen = asyncio.Event(), list[str]()

    async def work() -> None:
        await over.wait()
        seen.append("done")

    async def block() -> None:
        async with task_group() as group:
            group.create_task(work())
            try:
                raise NotFound("nothing")
            finally:
                over.set()

    with pytest.raises(NotFound, match="nothing"):
        await block()
    assert seen == ["done"]


async def test_a_task_that_fails_ends_the_block() -> None:
    ended: list[str] = []

    async def fail() -> None:
        raise Corrupted("broken")

    async def block() -> None:
        async with task_group() as group:
            group.create_task(fail())
            try:
                await asyncio.Event().wait()
            finally:
                ended.append("block")

    with pytest.raises(Corrupted, match="broken"):
        await block()
    assert ended == ["block"]
