"""What is told of build services that can't be opened."""

from __future__ import annotations

import asyncio
import logging
import sqlite3

import pytest

from croze.daemon.engine.opening import BuildServicesOpening
from croze.errors import NotFound, Unavailable


def noted() -> sqlite3.Error:
    error = sqlite3.OperationalError("unable to open database file")
    error.add_note("the notes, /x.db")
    return error


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (NotFound("no such thing"), "no such thing"),
        (noted(), "the notes, /x.db: unable to open database file"),
        (PermissionError(13, "Permission denied", "/x"), "/x: permission denied"),
    ],
)
async def test_who_waits_to_build_is_told(
    caplog: pytest.LogCaptureFixture, error: Exception, why: str
) -> None:
    """And so is who comes later."""
    opening = BuildServicesOpening()
    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(refused(opening)) for _ in range(2)]
        await asyncio.sleep(0)
        opening.fail(error)
    message = f"this daemon can't build: {why}"
    assert {task.result() for task in waiting} == {message} == {await refused(opening)}
    assert opening.failure is error
    assert caplog.record_tuples == [
        ("croze.daemon.engine.opening", logging.ERROR, f"can't build: {why}"),
    ]


async def refused(opening: BuildServicesOpening) -> str:
    with pytest.raises(Unavailable) as caught:
        await opening.build_services()
    return str(caught.value)
