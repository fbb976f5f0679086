"""Refs that are given out before their files are written: what is in them is known.

Whoever wants the files waits for them (`RefRecord.written`). Until they are there the records are
in memory alone, like all that is being written: after a kill nobody finds them.
"""

from __future__ import annotations

import logging

from croze.store.contract import WriteRest
from croze.store.core import Core
from croze.store.delayed_write import DelayedWrite
from croze.store.disk import disk_errors
from croze.store.records import RefRecord
from croze.store.ref_mounts import hold_mount

log = logging.getLogger(__name__)


def write_behind(core: Core, record: RefRecord, twin: RefRecord, write: WriteRest) -> None:
    """Have what is left of a retained record written."""
    rest = record.rest = twin.rest = DelayedWrite(_write(core, record, twin, write))
    core.behind.add(rest)
    rest.task.add_done_callback(lambda _: core.behind.discard(rest))


async def all_written(core: Core) -> None:
    """Write all that is left to be written, whatever comes of it."""
    for rest in tuple(core.behind):
        await rest.ended()


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
