"""When something is under way, and when nothing is any more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from croze.daemon.engine import opening
from croze.daemon.engine.activity import Activity
from croze.workers.memory import SpareMemory


async def test_memory_is_given_back_after_each_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the first build, too: what was loaded has left something over."""
    calls: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(opening, "REST_S", 0.0)
    builds = Activity()

    def noted(name: str) -> Callable[[SpareMemory], None]:
        def note(_: SpareMemory) -> None:
            loop.call_soon_threadsafe(calls.put_nowait, name)

        return note

    for name in ("give_back", "trim"):
        monkeypatch.setattr(SpareMemory, name, noted(name))
    task = asyncio.create_task(opening.give_back_memory(builds))  # noqa: TID251 - cancelled below
    assert await calls.get() == "give_back"
    for _ in range(3):
        with builds.one():
            for _ in range(10):
                await asyncio.sleep(0)
            assert calls.empty()
        assert await calls.get() == "give_back"
    assert calls.empty()
    monkeypatch.setattr(opening, "LONG_REST_S", 0.0)
    with builds.one():
        pass
    assert [await calls.get() for _ in range(2)] == ["give_back", "trim"]
    with builds.one():
        pass
    assert await calls.get() == "give_back"
    task.cancel()
    await asyncio.wait([task])


async def test_what_has_begun_meanwhile() -> None:
    builds = Activity()
    with builds.one():
        pass
    await builds.wait_begun(0)
    assert builds.begun == 1
