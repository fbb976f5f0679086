"""Locks by key."""

from __future__ import annotations

import asyncio

from croze.aio.locks import KeyedLocks


async def test_one_at_a_time_for_a_key_and_none_is_kept() -> None:
    locks: KeyedLocks[str] = KeyedLocks()
    events: list[str] = []
    go_on = asyncio.Event()

    async def work(key: str, name: str) -> None:
        async with locks.of(key):
            events.append(f"{name} begins")
            await go_on.wait()
            events.append(f"{name} ends")

    async with asyncio.TaskGroup() as group:
        for key, name in (("a", "first"), ("a", "second"), ("b", "other")):
            group.create_task(work(key, name))
        await asyncio.sleep(0)
        assert events == ["first begins", "other begins"]
        assert len(locks) == 2
        go_on.set()
    assert events.index("first ends") < events.index("second begins")
    assert len(locks) == 0
