"""`--debug-json-cache-metrics`: how many steps of a build were cached, and which were not.

Counted as BuildKit's `cmd/buildctl/cachemetrics.go` does: steps of the user's are those that
the client or the daemon doesn't add, and a base image can't be a miss.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, BinaryIO

from msgspec import Struct

from croze.gotypes import messages

if TYPE_CHECKING:
    from croze.api import control_pb2

_BASE = re.compile(r"\[.*\] FROM")
_ADDED = ("[internal]", "[auth]", "importing cache", "exporting ")
_COUNTS = (
    *("total", "completed"),
    *("user_total", "user_cached", "user_completed", "user_cacheable"),
    *("from", "miss"),
)


class _Step(Struct):
    name: str
    base: bool = False
    cached: bool = False
    completed: bool = False

    @property
    def user(self) -> bool:
        return not self.name.startswith(_ADDED)

    @property
    def miss(self) -> bool:
        return self.user and not self.cached and not self.base

    def counts(self) -> list[str]:
        """What it counts as."""
        own = {
            "user_total": True,
            "user_cached": self.cached,
            "user_completed": self.completed,
            "user_cacheable": not self.base,
            "from": self.base,
            "miss": self.miss,
        }
        counted = {"total": True, "completed": self.completed, **(own if self.user else {})}
        return [name for name, counts in counted.items() if counts]


class CacheMetrics:
    """Counts what one build says of the cache. `place` is a file, which is emptied at once,
    `stdout` or `stderr`; nothing is written where it is empty. Raises `OSError` for a file that
    can't be opened."""

    def __init__(self, place: str) -> None:
        self._started_s = time.monotonic()
        self._steps: dict[str, _Step] = {}
        self._file: BinaryIO | None = None
        self._own = place not in ("stdout", "stderr")
        if place == "stdout":
            self._file = sys.stdout.buffer
        elif place == "stderr":
            self._file = sys.stderr.buffer
        elif place:
            flags = os.O_TRUNC | os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC
            self._file = os.fdopen(os.open(place, flags, 0o600), "wb")

    def update(self, status: control_pb2.StatusResponse) -> None:
        if self._file is None:
            return
        for vertex in status.vertexes:
            step = self._steps.setdefault(vertex.digest, _Step(vertex.name))
            step.base |= bool(_BASE.match(vertex.name))
            step.cached |= vertex.cached
            step.completed |= vertex.HasField("completed")

    def close(self) -> None:
        """Write what came of it, as the last that is written: a line for each miss, then the
        counts."""
        if self._file is None:
            return
        counts: Counter[str] = Counter()
        for step in self._steps.values():
            counts.update(step.counts())
            if step.miss:
                self._file.write(f"cache miss: {step.name}\n".encode())
        took_ms = round((time.monotonic() - self._started_s) * 1000)
        values = {name: counts[name] for name in _COUNTS} | {"client_duration_ms": took_ms}
        self._file.write(messages.encode(values) + b"\n")
        self._file.flush()
        if self._own:
            self._file.close()
