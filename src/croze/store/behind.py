"""Refs that are given out while their files are still being written: what is in them is known.

Whoever wants the files waits for them (`RefRecord.written`). Until they are there the records are
in memory alone, like all that is being written: after a kill nobody finds them.
"""

from __future__ import annotations

import asyncio
import logging

from croze.store.contract import WriteRest
from croze.store.core import Core
from croze.store.disk import disk_errors
from croze.store.mounting import hold_mount
from croze.store.records import RefRecord

log = logging.getLogger(__name__)


def write_behind(core: Core, record: RefRecord, twin: RefRecord, write: WriteRest) -> None:
    """Begin to write what is left of a retained record."""

    def over(task: asyncio.Future[None]) -> None:
        core.behind.discard(task)
        if not task.cancelled():
            task.exception()  # it is logged, and raised to whoever waits

    work = _write(core, record, twin, write)
    task = asyncio.ensure_future(work)  # noqa: TID251 - `all_written` waits for it
    record.rest = twin.rest = task
    core.behind.add(task)
    task.add_done_callback(over)


async def all_written(core: Core) -> None:
    """Wait for all that is being written, whatever comes of it."""
    while core.behind:
        await asyncio.wait(core.behind)


async def _write(core: Core, record: RefRecord, twin: RefRecord, write: WriteRest) -> None:
    try:
        with disk_errors("failed to write a directory"), hold_mount(core, record) as root:
            await write(root)
        with core.table.transaction():
            core.snapshots.save(core.snapshot(record))
            for each in (record, twin):
                core.table.change(each, unwritten=False)
    except BaseException as error:
        log.warning("%s could not be written: %s", record.data.description, error)
        core.table.change(record, meta={})  # nobody is to find it
        if not core.table.held(record):
            await core.delete([record, twin])
        raise
    record.rest = twin.rest = None
