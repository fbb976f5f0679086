"""How much memory the lists of files take that senders tell, who may go on for ever.

A file that is listed takes a kilobyte for as long as its tree comes, and a sender needs no file for
that. What all trees take that come at the same time has a bound, in proportion to what there is.
"""

from __future__ import annotations

import functools
import threading
from typing import Final

from croze.errors import ResourceExhausted
from croze.fs.entry import Entry
from croze.workers.memory import memory_bytes

_PART: Final = 2
"""One such part of the memory that this process may have is for lists of files."""
_STEP_BYTES: Final = 1 << 20
"""What is taken at once."""
_ENTRY_BYTES, _CHARACTER_BYTES, _XATTR_BYTES = 700, 6, 300
"""Measured, and rounded up: an entry, its notes and its place in the index of checksums."""


class MemoryAllowance:
    """An amount of memory for all who share it. Safe to use from several threads."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self.used_bytes = 0
        self._lock = threading.Lock()

    def take(self, size_bytes: int) -> None:
        """Take some more. Raises `ResourceExhausted` if there is not as much."""
        with self._lock:
            if self.used_bytes + size_bytes > self._most_bytes:
                most = f"{self._most_bytes >> 20} MiB"
                raise ResourceExhausted(f"file lists that come now take more memory than {most}")
            self.used_bytes += size_bytes

    def give_back(self, size_bytes: int) -> None:
        """Let others have it."""
        with self._lock:
            self.used_bytes -= size_bytes


@functools.cache
def everybodys() -> MemoryAllowance:
    """The allowance that all trees of this process share."""
    return MemoryAllowance(memory_bytes() // _PART)


class ListingMemory:
    """The memory that the list of one tree takes. `close` it when nothing of it is needed any
    more."""

    def __init__(self) -> None:
        self._allowance = everybodys()
        self._taken_bytes = self._bytes = self._entries = 0

    def add(self, entry: Entry) -> None:
        """Count one more entry. Raises `ResourceExhausted`."""
        self._entries += 1
        self._bytes += _ENTRY_BYTES + _CHARACTER_BYTES * (len(entry.path) + len(entry.linkname))
        for name, value in entry.xattrs.items():
            self._bytes += _XATTR_BYTES + _CHARACTER_BYTES * len(name) + 3 * len(value)
        if self._bytes > self._taken_bytes:
            step = max(_STEP_BYTES, self._bytes - self._taken_bytes)
            try:
                self._allowance.take(step)
            except ResourceExhausted as error:
                raise error.wrap(f"file transfer refused after {self._entries} entries") from None
            self._taken_bytes += step

    def close(self) -> None:
        """Let others have what was taken. Idempotent."""
        size_bytes, self._taken_bytes = self._taken_bytes, 0
        self._allowance.give_back(size_bytes)
