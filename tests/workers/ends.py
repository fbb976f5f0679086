"""Ends of processes, waited for."""

from __future__ import annotations

import asyncio
import os
import select
import signal
from pathlib import Path

from croze.aio.threads import in_thread
from tests.support.waiting import PATIENCE_S


async def killed(pid: int, *, until: int = 0) -> None:
    """Once it has ended, or the process `until`, which dies of that."""
    ended = os.pidfd_open(until or pid)
    try:
        os.kill(pid, signal.SIGKILL)
        await in_thread(select.select, [ended], [], [])
    finally:
        os.close(ended)


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[1])


async def stopped(pid: int) -> None:
    """Once it is: it lives, and reads nothing."""
    os.kill(pid, signal.SIGSTOP)
    async with asyncio.timeout(PATIENCE_S):
        while Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "T":
            await asyncio.sleep(0)
