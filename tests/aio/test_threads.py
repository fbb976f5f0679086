"""Work in threads: nobody outruns it, save what may be left behind."""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from typing import TypeVar

import pytest

from croze.aio import threads
from croze.aio.threads import (
    abandonable,
    chunks,
    finish,
    in_thread,
    in_thread_if_many,
    opened,
    start_in_thread,
)

T = TypeVar("T")


async def test_results_errors_and_context() -> None:
    variable = contextvars.ContextVar("variable", default=0)
    variable.set(7)
    assert await in_thread(variable.get) == 7
    assert await abandonable(int, "11", base=2) == 3
    for run in (in_thread, abandonable):
        with pytest.raises(ZeroDivisionError):
            await run(divmod, 1, 0)


def test_chunks_that_nobody_reads_to_the_end(tmp_path: Path) -> None:
    """The loop closes what is left, and has nothing to complain of."""
    (tmp_path / "file").write_bytes(b"ab")
    problems: list[object] = []
    pieces = chunks(tmp_path / "file", 1)

    async def begin() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, about: problems.append(about))
        assert await anext(pieces) == b"a"

    asyncio.run(begin())
    assert problems == []


async def test_the_next_chunk_is_read_while_one_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no more than that one."""
    (tmp_path / "file").write_bytes(b"abcd")
    begun: list[str] = []

    def start(function: Callable[..., T], *args: object) -> asyncio.Future[T]:
        begun.append(getattr(function, "__name__", ""))
        return start_in_thread(function, *args)

    monkeypatch.setattr(threads, "start_in_thread", start)
    async with aclosing(chunks(tmp_path / "file", 1)) as pieces:
        for number in (1, 2):
            await anext(pieces)
            assert begun.count("read") == number + 1


async def turns() -> None:
    """What the loop has to do by itself is done."""
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.mark.parametrize("cancellations", [1, 2, 5])
async def test_a_cancellation_waits_for_the_work(cancellations: int) -> None:
    go, done = threading.Event(), threading.Event()

    def work() -> None:
        go.wait(10)
        done.set()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(in_thread(work))
        for _ in range(cancellations):
            await turns()
            task.cancel()
        await turns()
        assert not task.done()
        go.set()
        await asyncio.wait([task])
    assert done.is_set()
    assert task.cancelled()


async def test_work_begins_even_if_the_task_is_cancelled_at_once() -> None:
    done = threading.Event()
    async with asyncio.TaskGroup() as group:

        async def clean_up() -> None:
            current = asyncio.current_task()
            assert current is not None
            current.cancel()
            await in_thread(done.set)

        task = group.create_task(clean_up())
        await asyncio.wait([task])
    assert task.cancelled()
    assert done.is_set()


async def test_a_failure_does_not_hide_a_cancellation() -> None:
    go = threading.Event()

    def fail() -> None:
        go.wait(10)
        raise ZeroDivisionError

    async with asyncio.TaskGroup() as group:
        task = group.create_task(in_thread(fail))
        await turns()
        task.cancel()
        await turns()
        go.set()
        await asyncio.wait([task])
    assert task.cancelled()


async def test_a_timeout_is_told_when_the_work_has_ended() -> None:
    go = threading.Event()
    asyncio.get_running_loop().call_later(0.02, go.set)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await in_thread(go.wait, 10)
    assert go.is_set()


async def test_finish_lets_a_coroutine_end() -> None:
    steps: list[int] = []

    async def clean_up() -> int:
        for step in range(3):
            await asyncio.sleep(0)
            steps.append(step)
        return 5

    assert await finish(clean_up()) == 5
    async with asyncio.TaskGroup() as group:
        task = group.create_task(finish(clean_up()))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
    assert steps == [0, 1, 2, 0, 1, 2]
    assert task.cancelled()


async def test_what_may_wait_for_ever_is_left_behind(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(abandonable(pipe.read_bytes))
        await turns()
        task.cancel()
        await asyncio.wait([task])
    assert task.cancelled()
    pipe.write_bytes(b"")  # the thread ends, and nobody hears of it


async def test_files_are_written_and_read_in_threads(tmp_path: Path) -> None:
    path = tmp_path / "file"
    async with opened(path, "wb") as file:
        await in_thread(file.write, b"abcdefg")
    assert [piece async for piece in chunks(path, 3)] == [b"abc", b"def", b"g"]
    with pytest.raises(FileNotFoundError):
        async with opened(tmp_path / "no"):
            pass


async def test_a_file_opened_for_a_cancelled_task_is_closed(tmp_path: Path) -> None:
    """Warnings are errors here: one that is forgotten would complain."""
    path = tmp_path / "file"
    path.touch()

    async def use() -> None:
        async with opened(path):
            await asyncio.Event().wait()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(use())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
    assert task.cancelled()


async def test_a_future_of_a_thread_belongs_to_its_owner() -> None:
    assert await start_in_thread(lambda: 3) == 3


async def test_a_few_things_take_no_thread() -> None:
    here = threading.get_ident()
    assert await in_thread_if_many(1, threading.get_ident) == here
    assert await in_thread_if_many(10_000, threading.get_ident) != here
