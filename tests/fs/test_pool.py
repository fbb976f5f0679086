"""The worker pool: results, errors, death and cancellation."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from croze.aio.threads import in_thread
from croze.errors import InvalidRequest, NotFound, VertexDetail
from croze.fs.pool import WorkerDied, WorkerPool
from croze.fs.usage import usage
from tests.fs import calls


async def test_runs_functions_elsewhere(tmp_path: Path) -> None:
    async with WorkerPool(2) as pool:
        pids = await asyncio.gather(*[pool.run(os.getpid) for _ in range(8)])
        assert os.getpid() not in pids
        assert len(set(pids)) <= 2
        assert (await pool.run(usage, str(tmp_path))).inodes == 1
        data = b"x" * 3_000_000
        assert await pool.run(calls.echo, data) == data


async def test_errors_travel_with_their_details() -> None:
    async with WorkerPool(1) as pool:
        with pytest.raises(NotFound, match="no such thing") as caught:
            await pool.run(calls.fail, "no such thing")
        assert caught.value.details == [VertexDetail("sha256:0")]
        with pytest.raises(ValueError, match="invalid literal"):
            await pool.run(int, "x")
        assert await pool.run(int, "7") == 7


async def test_a_dead_worker_is_replaced() -> None:
    async with WorkerPool(1) as pool:
        first = await pool.run(os.getpid)
        with pytest.raises(WorkerDied, match=r"while it ran .*kill"):
            await pool.run(calls.kill_self)
        second = await pool.run(os.getpid)
        assert first != second
        os.kill(second, signal.SIGKILL)
        await in_thread(os.waitid, os.P_PID, second, os.WEXITED | os.WNOWAIT)
        assert await pool.run(os.getpid) != second


async def test_cancelling_stops_the_work_at_once(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    async with WorkerPool(1) as pool:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(pool.run(calls.announce_and_hang, str(fifo)))
            pid = int(await in_thread(fifo.read_text))
            task.cancel()
        assert task.cancelled()
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
        assert await pool.run(os.getpid) != pid


async def test_close_leaves_nothing() -> None:
    pool = WorkerPool(2)
    pool.start()
    pids = set(await asyncio.gather(pool.run(os.getpid), pool.run(os.getpid)))
    await pool.close()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    with pytest.raises(Exception, match="pool is closed"):
        await pool.run(os.getpid)


async def test_unreadable_errors_become_plain_ones() -> None:
    async with WorkerPool(1) as pool:
        with pytest.raises(Exception, match=r"Awkward: gone wrong"):
            await pool.run(calls.fail_awkwardly)
        with pytest.raises(InvalidRequest, match="bad"):
            await pool.run(calls.fail_kindly)
