"""Workers and fork servers that end before their time: who needs one gets another."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket

import pytest

from croze.errors import CrozeError
from croze.workers import forkserver
from croze.workers.crew import CallUnread, CrewMember
from croze.workers.messages import Message
from croze.workers.pool import WorkerDied, WorkerPool
from croze.workers.signals import ENDING
from tests.workers import calls
from tests.workers.ends import killed, parent, stopped


async def double(question: object) -> object:
    assert isinstance(question, int)
    return question * 2


async def test_a_dead_worker_is_replaced() -> None:
    async with WorkerPool(1) as pool:
        first = await pool.run(os.getpid)
        with pytest.raises(WorkerDied, match=r"while it ran .*kill"):
            await pool.run(calls.kill_self)
        second = await pool.run(os.getpid)
        assert first != second
        await killed(second)
        assert await pool.run(os.getpid) != second


async def test_a_worker_that_dies_before_it_has_read_its_call() -> None:
    """Another one does it. Of a large call only a part has been sent by then."""
    data = b"x" * 3_000_000
    async with WorkerPool(1) as pool:
        for call in (pool.run(len, data), pool.converse(double, 9, calls.ask_all, [1])):
            pid = await pool.run(os.getpid)
            await stopped(pid)
            async with asyncio.TaskGroup() as group:
                task = group.create_task(call)
                for _ in range(3):
                    await asyncio.sleep(0)
                os.kill(pid, signal.SIGKILL)
            assert task.result() in (len(data), [2])
            assert await pool.run(os.getpid) != pid


async def test_a_worker_that_dies_when_it_has_just_been_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with WorkerPool(1) as pool:
        pid = await pool.run(os.getpid)
        await killed(pid)
        monkeypatch.setattr(CrewMember, "is_alive", True)
        assert await pool.run(os.getpid) != pid


async def test_workers_that_all_die_before_they_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where there is no memory for another process: somebody has to be told."""
    tried: list[bytes] = []

    async def call(self: CrewMember, frame: bytes) -> Message:
        tried.append(frame)
        raise CallUnread

    async with WorkerPool(1) as pool:
        with monkeypatch.context() as patch:
            patch.setattr(CrewMember, "call", call)
            with pytest.raises(WorkerDied, match="died before it ran getpid"):
                await pool.run(os.getpid)
        assert len(tried) == 3
        assert await pool.run(os.getpid)


async def test_where_there_can_be_no_more_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who wants one is told so, and those who have one keep it."""
    asked, may_go_on = asyncio.Event(), asyncio.Event()

    async def answer(question: object) -> object:
        asked.set()
        await may_go_on.wait()
        return question

    def refuse(*_: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    async with WorkerPool(2, spare=1) as pool, asyncio.TaskGroup() as group:
        pid = await pool.run(os.getpid)
        talking = group.create_task(pool.converse(answer, 9, calls.ask_pid))
        await asked.wait()
        with monkeypatch.context() as patch:
            patch.setattr(socket, "socketpair", refuse)
            with pytest.raises(CrozeError, match="worker process can be made: too many open files"):
                await pool.run(os.getpid)
        may_go_on.set()
        assert await talking == pid


async def test_a_fork_server_that_died_is_replaced_and_with_it_its_workers() -> None:
    async with WorkerPool(1) as pool:
        first = await pool.run(os.getpid)
        await killed(parent(first), until=first)
        assert await pool.run(os.getpid) != first


async def test_a_fork_server_that_dies_as_it_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks then gets a worker of the next one."""
    async with WorkerPool(1) as pool:
        first = await pool.run(os.getpid)
        await killed(parent(first), until=first)
        with monkeypatch.context() as patch:
            patch.setattr("croze.workers.forkserver._Process.is_alive", True)
            assert await pool.run(os.getpid) != first


async def test_a_fork_server_that_hears_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody has stopped it; it is killed, rather than waited for by all."""
    monkeypatch.setattr(forkserver, "PATIENCE_S", 0.2)
    async with WorkerPool(1) as pool:
        pid = await pool.run(os.getpid)
        fork_server = parent(pid)
        await stopped(fork_server)
        with pytest.raises(WorkerDied, match="while it ran"):
            await pool.run(calls.kill_self)
        assert parent(await pool.run(os.getpid)) != fork_server


async def test_what_ends_the_daemon_ends_no_work() -> None:
    """systemd and `timeout` tell all processes at once, of which the daemon waits for builds."""
    async with WorkerPool(1) as pool:
        pid = await pool.run(os.getpid)
        fork_server = parent(pid)
        for number in ENDING:
            for each in (fork_server, pid):
                os.kill(each, number)
            assert await pool.run(os.getpid) == pid
        assert await pool.run(os.getppid) == fork_server
