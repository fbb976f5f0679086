"""Which snapshots a power cut does not take.

What a step writes is in the kernel's memory for half a minute, and nobody waits for the disk; the
row of its snapshot may be there long before. Rows have the number of the *era* in which they were
written. Now and then the file system is synchronised (syncfs(2)), in one go for all, and the era
before is settled. A store that was open when the machine failed, which the kernel's boot id tells,
forgets what is of later eras: files of that may be empty, or missing. So does one that was closed
so shortly before another boot that the kernel may not have written all.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import time
from functools import partial
from pathlib import Path
from typing import Final

from croze.aio.threads import in_thread
from croze.errors import CrozeError
from croze.store.db import Database

BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
STAT: Final = Path("/proc/stat")
WRITTEN_S: Final = 60.0
"""After so long the kernel has written what was left to it: it begins after half a minute
(`vm.dirty_expire_centisecs`)."""
_CLOCK_S: Final = 5.0
"""How well times of the clock are known."""
_BOOT, _SETTLED, _CLOSED = "boot", "settled", "closed"


class Eras:
    """The eras of a store that is open."""

    def __init__(self, db: Database, directory: Path) -> None:
        self._db = db
        self._directory = directory
        self._boot = _boot_id()
        boot, settled = self._stored(_BOOT), int(self._stored(_SETTLED) or 0)
        ((latest,),) = db.read("SELECT max(era) FROM snapshots")
        self._first = self._now = 1 + max(settled, int(latest or 0))
        closed = self._stored(_CLOSED)
        self._is_marked = boot == self._boot != "" and closed == ""
        """The boot is on record since something has been written."""
        is_other = "" not in (boot, self._boot) and boot != self._boot
        if is_other and closed and not _may_have_failed(float(closed)):
            is_other, settled = False, self._first - 1
        self._settled = settled
        self._lost = range(settled + 1, self._first) if is_other else range(0)
        self._written = asyncio.Event()
        if self._first > settled + 1:
            self._written.set()

    def now(self) -> int:
        """The era of what is written now. In the transaction that notes it."""
        self._written.set()
        if not self._is_marked:
            self._db.on_rollback(partial(setattr, self, "_is_marked", False))
            self._set(_BOOT, self._boot)
            self._set(_CLOSED, "")
            self._set(_SETTLED, str(self._settled))
            self._is_marked = True
        return self._now

    def is_current(self, era: int) -> bool:
        """Whether it is the one of what is written now."""
        return era == self._now

    def is_lost(self, era: int) -> bool:
        """Whether the machine has failed, before this store was opened, when the disk may not have
        had all that was written then."""
        return era in self._lost

    async def written(self) -> None:
        """Wait until there is something that the disk may not have."""
        await self._written.wait()

    async def settle(self) -> None:
        """Have the disk take all that has been written. Raises `OSError` if it can't, and
        `ResourceExhausted` on a full disk."""
        self._written.clear()
        era, self._now = self._now, self._now + 1
        try:
            await in_thread(_sync, self._directory)
            self._set(_SETTLED, str(era))
            self._settled = era
        except BaseException:
            self._written.set()
            raise

    def close(self) -> None:
        """The store is closed, and the kernel writes what is left. A machine that fails before it
        has, and comes up only later than that takes, is not noticed. On a disk that is full, or
        broken, it counts as having failed. Idempotent."""
        if not self._is_marked:
            return
        self._is_marked = False
        with contextlib.suppress(CrozeError):
            self._set(_CLOSED, str(time.time()))

    def _stored(self, name: str) -> str:
        rows = self._db.read("SELECT value FROM settings WHERE name = ?", name)
        return str(rows[0][0]) if rows else ""

    def _set(self, name: str, value: str) -> None:
        self._db.write("INSERT OR REPLACE INTO settings VALUES (?, ?)", name, value)


def _boot_id() -> str:
    """Nothing where the kernel does not tell."""
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        return ""


def _may_have_failed(closed_s: float) -> bool:
    """Whether this machine was booted so soon after that time that it may have failed then. Not if
    it was before: the machine is another container, whose boot has an id of its own."""
    try:
        lines = STAT.read_text().splitlines()
        booted_s = next(float(line.split()[1]) for line in lines if line.startswith("btime "))
    except (OSError, StopIteration):
        return False
    return -_CLOCK_S <= booted_s - closed_s <= WRITTEN_S


def _sync(directory: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if libc.syncfs(fd) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), os.fspath(directory))
    finally:
        os.close(fd)
