"""The worker pool: results, errors and cancellation."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

from croze.aio.threads import in_thread
from croze.errors import CrozeError, ExitError, InvalidRequest, NotFound, VertexDetail
from croze.fs.tree.usage import usage
from croze.workers import crew as crew_module
from croze.workers.crew import WorkerCrew
from croze.workers.pool import FILE_WORK, TooMuchWork, WorkerDied, WorkerPool
from croze.workers.shares import Shares, sharing
from tests.support.waiting import PATIENCE_S
from tests.workers import calls
from tests.workers.ends import killed, parent


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
        assert caught.value.details == (VertexDetail("sha256:0"),)
        with pytest.raises(ValueError, match="invalid literal"):
            await pool.run(int, "x")
        assert await pool.run(int, "7") == 7


async def test_pools_with_one_crew() -> None:
    crew = WorkerCrew(FILE_WORK, 1)
    try:
        async with WorkerPool(1, crew=crew) as one, WorkerPool(1, crew=crew) as other:

            async def answer(question: object) -> object:
                return await other.run(os.getpid)

            first = await one.run(os.getpid)
            (second,) = await one.converse(answer, 0, calls.ask_all, [0])
            assert isinstance(second, int)
            assert first != second
            assert parent(first) == parent(second)
            await one.close()
            assert await other.run(os.getpid) in (first, second)
            for each in (first, second):
                await killed(each)
            assert await other.run(os.getpid) not in (first, second)
    finally:
        crew.close()
    crew.close()


async def test_what_a_conversation_may_take_is_no_limit_of_what_comes_next() -> None:
    async with WorkerPool(1) as pool:
        cpu, _ = await pool.run(calls.limits)
        await pool.converse(double, 9, calls.ask_all, [0])
        after, (data_bytes, _) = await pool.run(calls.limits)
        assert after == cpu
        assert data_bytes > 2 << 30  # those of a call


async def test_what_a_worker_can_not_load_is_its_callers_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It may be of an installation that is no more."""
    monkeypatch.setitem(sys.modules, "croze_absent", ModuleType("croze_absent"))
    monkeypatch.setattr(calls.Absent, "__module__", "croze_absent")
    monkeypatch.setattr(sys.modules["croze_absent"], "Absent", calls.Absent, raising=False)

    async def absent(question: object) -> object:
        return calls.Absent()

    async with WorkerPool(1) as pool:
        pid = await pool.run(os.getpid)
        with pytest.raises(ModuleNotFoundError, match="croze_absent"):
            await pool.run(id, calls.Absent())
        assert await pool.run(os.getpid) == pid
        with pytest.raises(ModuleNotFoundError, match="croze_absent"):
            await pool.converse(absent, 9, calls.ask_all, [1, 2])


async def test_workers_share_what_is_loaded() -> None:
    """A worker has less than half of its memory for itself, as long as it has done nothing."""
    async with WorkerPool(3) as pool:
        pids = await asyncio.gather(*[pool.run(os.getpid) for _ in range(3)])
        for pid in set(pids):
            fields = Path(f"/proc/{pid}/smaps_rollup").read_text().split()
            private = int(fields[fields.index("Private_Dirty:") + 1])
            assert private * 2 < int(fields[fields.index("Rss:") + 1])


def resident_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


async def test_what_work_has_left_over_is_given_back() -> None:
    async with WorkerPool(1) as pool:
        before = resident_mb(await pool.run(os.getpid))
        pid = await pool.run(calls.leave_memory)
        async with asyncio.timeout(PATIENCE_S):
            while resident_mb(pid) > before + 10:
                await asyncio.sleep(0)


async def test_who_has_grown_is_replaced_when_at_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not before: who has more of the same work has it done by the same."""
    async with WorkerPool(1) as pool:
        grown = await pool.run(calls.keep_memory)
        assert await pool.run(os.getpid) == grown
        monkeypatch.setattr(crew_module, "REST_S", 0.0)
        await pool.run(os.getpid)
        async with asyncio.timeout(PATIENCE_S):
            while Path(f"/proc/{grown}").exists():
                await asyncio.sleep(0)
        replacement = await pool.run(os.getpid)
        assert replacement != grown
        for _ in range(20):
            await asyncio.sleep(0)
        assert await pool.run(os.getpid) == replacement


async def test_what_a_crowd_has_left_over_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if others are at work all the time."""
    monkeypatch.setattr(crew_module, "LINGER_S", 0.0)
    monkeypatch.setattr(crew_module, "REST_S", 0.0)
    asked: set[object] = set()
    everybody = asyncio.Event()

    async def meet(question: object) -> object:
        asked.add(asyncio.current_task())
        if len(asked) == 3:
            everybody.set()
        await everybody.wait()
        return question

    async with WorkerPool(3, spare=1) as pool:
        pids = await asyncio.gather(*[pool.converse(meet, 9, calls.ask_pid) for _ in range(3)])
        assert len(set(pids)) == 3
        while sum(Path(f"/proc/{pid}").exists() for pid in pids) > 1:
            await pool.run(os.getpid)
        assert await pool.run(os.getpid) in pids


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
    with pytest.raises(CrozeError, match="pool is closed"):
        await pool.run(os.getpid)


async def test_close_ends_calls_under_way(tmp_path: Path) -> None:
    """Who waits for them is told so."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    async with WorkerPool(1) as pool:
        task = asyncio.ensure_future(pool.run(calls.announce_and_hang, str(fifo)))  # noqa: TID251
        await in_thread(fifo.read_text)
        await pool.close()
        with pytest.raises(WorkerDied, match="while it ran announce_and_hang"):
            await task


async def test_unreadable_errors_become_plain_ones() -> None:
    async with WorkerPool(1) as pool:
        with pytest.raises(CrozeError, match=r"Awkward: gone wrong"):
            await pool.run(calls.fail_awkwardly)
        with pytest.raises(InvalidRequest, match="bad"):
            await pool.run(calls.fail_kindly)


# -- conversations ----------------------------------------------------------------------------


async def double(question: object) -> object:
    assert isinstance(question, int)
    if question < 0:
        raise ExitError("no", 7, VertexDetail("sha256:1"))
    return question * 2


async def test_a_conversation() -> None:
    async with WorkerPool(1) as pool:
        assert await pool.converse(double, 9, calls.ask_all, [1, 2, 3]) == [2, 4, 6]
        assert await pool.converse(double, 9, calls.ask_all, list(range(3000))) is not None
        assert await pool.run(os.getpid) == await pool.converse(double, 9, calls.ask_pid)


async def test_a_connection_that_an_answer_has_lost_is_not_the_workers() -> None:
    async def lose(question: object) -> object:
        raise ConnectionResetError("the registry's")

    async with WorkerPool(1) as pool:
        with pytest.raises(ConnectionResetError, match="the registry's"):
            await pool.converse(lose, 9, calls.ask_pid)


async def test_who_leaves_a_question_open_is_not_talked_to_again() -> None:
    """A part of the answer may be on its way, and would be taken for the next message."""

    async def never(question: object) -> object:
        await asyncio.Event().wait()
        return question

    async with WorkerPool(1) as pool:
        pid = await pool.converse(never, 9, calls.ask_and_leave)
        assert await pool.run(os.getpid) != pid


async def test_errors_cross_a_conversation_as_they_are() -> None:
    async with WorkerPool(1) as pool:
        with pytest.raises(ExitError) as caught:
            await pool.converse(double, 9, calls.ask_all, [1, -1])
        assert caught.value.exit_code == 7
        assert caught.value.details == (VertexDetail("sha256:1"),)
        with pytest.raises(AssertionError):
            await pool.converse(double, 9, calls.ask_all, ["x"])


async def test_who_computes_for_too_long_is_stopped() -> None:
    async with WorkerPool(1) as pool:
        with pytest.raises(TooMuchWork, match="more than 1 seconds"):
            await pool.converse(double, 1, calls.compute_for_ever)
        assert await pool.run(int, "7") == 7


async def test_a_cancelled_conversation_stops_at_once() -> None:
    asked = asyncio.Event()

    async def never(question: object) -> object:
        asked.set()
        await asyncio.Event().wait()
        return None

    async with WorkerPool(1) as pool, asyncio.TaskGroup() as group:
        pid = await pool.run(os.getpid)
        task = group.create_task(pool.converse(never, 9, calls.ask_all, [1]))
        await asked.wait()
        task.cancel()
        await asyncio.wait([task])
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


# -- shares -----------------------------------------------------------------------------------


async def test_one_share_holds_up_no_other(tmp_path: Path) -> None:
    """All workers hang for one build; another build's call is made, and a third's."""
    async with WorkerPool(2) as pool, asyncio.TaskGroup() as group:
        with sharing("greedy"):
            fifos = [tmp_path / str(n) for n in range(5)]
            for fifo in fifos:
                os.mkfifo(fifo)
            hanging = [
                group.create_task(pool.run(calls.announce_and_hang, str(fifo))) for fifo in fifos
            ]
        for fifo in fifos[:2]:
            await in_thread(fifo.read_text)
        for name in ("modest", "another"):
            with sharing(name):
                assert await pool.run(int, "7") == 7
        for task in hanging:
            task.cancel()


async def test_slots_go_to_who_has_least() -> None:
    shares = Shares(2, 2)
    order: list[str] = []
    begun, enough = asyncio.Event(), asyncio.Event()

    async def work(name: str, *, hold: bool = False) -> None:
        with sharing(name):
            async with shares.slot():
                order.append(name)
                begun.set()
                if hold:
                    await enough.wait()

    async with asyncio.TaskGroup() as group:
        group.create_task(work("a", hold=True))
        first = group.create_task(work("a", hold=True))
        await begun.wait()
        waiting = [group.create_task(work(name)) for name in ("a", "a", "b")]
        await asyncio.wait(waiting, timeout=0)
        waiting[1].cancel()
        first.cancel()
        await asyncio.wait(waiting)
        enough.set()
    assert order == ["a", "a", "b", "a"]
