"""What is told of a job, to those who follow it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from croze.solver.report import StatusLog
from croze.status import StatusEvent, VertexWarning
from tests.support.waiting import PATIENCE_S

LONG_S = 1000.0


def said(number: int) -> StatusEvent:
    return VertexWarning("", 1, str(number))


async def test_who_reads_with_pauses_gets_all_in_few_batches_and_the_last_at_once() -> None:
    log = StatusLog()
    batches: list[Sequence[StatusEvent]] = []

    async def follow() -> None:
        async for batch in log.read(LONG_S):
            batches.append(batch)

    log.append(said(0))
    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
        group.create_task(follow())
        for number in range(1, 5):
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            log.append(said(number))
        assert batches == [[said(0)]]
        log.close()
    assert batches == [[said(0)], [said(number) for number in range(1, 5)]]


async def test_a_pause_ends() -> None:
    log = StatusLog()
    reader = log.read(0.001)
    async with asyncio.timeout(PATIENCE_S):
        for number in range(3):
            log.append(said(number))
            assert await anext(reader) == [said(number)]
        log.close()
        assert [batch async for batch in reader] == []


async def one(reader: AsyncIterator[Sequence[StatusEvent]]) -> Sequence[StatusEvent]:
    return await anext(reader)


async def test_who_stops_reading_amid_a_pause() -> None:
    log = StatusLog()
    log.append(said(0))
    reader = log.read(LONG_S)
    assert await anext(reader) == [said(0)]
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(one(reader))
        await asyncio.sleep(0)
        waiting.cancel()
    log.close()
    assert [batch async for batch in log.read()] == [[said(0)]]
