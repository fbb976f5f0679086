"""A blob that is unpacked while it comes."""

from __future__ import annotations

import asyncio
import math
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

SOON_S: Final = 1.0
"""Nobody holds a worker to wait for more than that, as far as can be told; who errs gives up
(`fs.tar.arriving`)."""


class Arrival:
    """A blob on its way, of which its fetcher tells (`BlobWatch`) and which is read
    meanwhile. Close it when neither who writes nor who reads is at work any more."""

    def __init__(self, size_bytes: int) -> None:
        self.is_near = asyncio.Event()
        """It will have come soon, or has, or will not."""
        self.attempts = 0
        """How many files there were; what was read of any but the last is void."""
        self.is_read = False
        """Somebody reads what has come, or has done so."""
        self._size = size_bytes
        self._loop = asyncio.get_running_loop()
        self._begun_s = 0.0
        self._file = self._news = self._tell = -1

    @property
    def path(self) -> str:
        """The file in which it comes, whatever it is called meanwhile."""
        return f"/proc/{os.getpid()}/fd/{self._file}"

    @property
    def news(self) -> str:
        """See `fs.tar.arriving`."""
        return f"/proc/{os.getpid()}/fd/{self._news}"

    def on_begun(self, path: Path) -> None:
        """The fetcher begins, maybe anew, to write this file. Only a first attempt is read
        along."""
        self.attempts += 1
        if self.attempts == 1:
            self._begun_s = time.monotonic()
            self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            self._news, self._tell = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def on_written(self, total_bytes: int) -> None:
        """Note that the file has this many bytes now."""
        if self._tell >= 0:
            with suppress(BlockingIOError):  # there is news enough that was not read
                os.write(self._tell, b".")
        if not self.is_near.is_set() and self._left_s(total_bytes) < SOON_S:
            self._loop.call_soon_threadsafe(self.is_near.set)

    def _left_s(self, total_bytes: int) -> float:
        if not total_bytes:
            return math.inf
        taken_s = time.monotonic() - self._begun_s
        return taken_s * (self._size - total_bytes) / total_bytes

    def on_complete(self) -> None:
        """The blob is whole: whoever reads comes to its end."""
        if self._tell >= 0:
            os.close(self._tell)
            self._tell = -1

    def close(self) -> None:
        """Count the blob as complete, and let go of its file. Idempotent."""
        self.on_complete()
        for fd in (self._file, self._news):
            if fd >= 0:
                os.close(fd)
        self._file = self._news = -1
