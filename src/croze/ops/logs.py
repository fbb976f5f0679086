"""A step's output on its way to the client: clipped when it is too much or too fast.

Limits and wording are BuildKit's (`util/progress/logs`). What is clipped goes into a ring buffer,
and when the step fails the buffer is delivered, so that the reason is never lost.
"""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Callable, Mapping

from msgspec import Struct

from croze.status import Progress

TAIL_BYTES = 256 << 10
STDOUT, STDERR = 1, 2
_UNITS = ("B", "KiB", "MiB", "GiB")


class LogLimits(Struct, frozen=True):
    """Bytes in all and bytes a second, for each stream of a step; -1 is no limit."""

    max_size: int = 2 << 20
    max_speed: int = 200 << 10
    echoes: bool = False
    """Whether what passes is written to the daemon's own streams, too: for who debugs it."""

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> LogLimits:
        """`BUILDKIT_STEP_LOG_MAX_SIZE`, `BUILDKIT_STEP_LOG_MAX_SPEED`, where nonsense is ignored,
        and `BUILDKIT_DEBUG_EXEC_OUTPUT`."""
        default = cls()
        return cls(
            _number(env.get("BUILDKIT_STEP_LOG_MAX_SIZE", ""), default.max_size),
            _number(env.get("BUILDKIT_STEP_LOG_MAX_SPEED", ""), default.max_speed),
            env.get("BUILDKIT_DEBUG_EXEC_OUTPUT") == "1",
        )


def _number(text: str, default: int) -> int:
    try:
        return int(text)
    except ValueError:
        return default


def human(size: int) -> str:
    """A size as clipped output tells it: `2MiB`, `200KiB`, `1.5MiB`."""
    value, unit = float(size), 0
    while value >= 1024 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:g}{_UNITS[unit]}"


class StreamLog:
    """One stream of one step."""

    def __init__(
        self,
        progress: Progress,
        stream: int,
        limits: LogLimits,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._progress = progress
        self._stream = stream
        self._limits = limits
        self._clock = clock
        self._created = clock()
        self._size = 0
        self._clipping = False
        self._tail: bytearray | None = None

    def write(self, data: bytes) -> None:
        """Pass on what the limits allow."""
        room, limit = self._room()
        self._size += len(data)
        passed = data if room is None or room >= len(data) else data[:room]
        clipped = len(passed) < len(data)
        if clipped and self._tail is None:
            self._tail = bytearray()
        if self._tail is not None:
            self._tail += data
            del self._tail[:-TAIL_BYTES]
        if clipped and not self._clipping:
            passed += f"\n[output clipped, log limit {limit} reached]\n".encode()
        self._clipping = clipped
        if passed:
            self._deliver(passed)

    def _deliver(self, data: bytes) -> None:
        self._progress.log(self._stream, data)
        if self._limits.echoes:
            own = sys.stdout if self._stream == STDOUT else sys.stderr
            with contextlib.suppress(OSError):  # no step fails because nobody reads
                own.buffer.write(data)
                own.buffer.flush()

    def _room(self) -> tuple[int | None, str]:
        """How many bytes may pass now (None: all), and the limit that says so."""
        limits, allowed, text = self._limits, -1, ""
        if limits.max_speed != -1:
            allowed = math.ceil(max(self._clock() - self._created, 1e-9)) * limits.max_speed
            text = f"{human(limits.max_speed)}/s"
        if allowed == -1 or allowed > limits.max_size:
            allowed, text = limits.max_size, human(limits.max_size)
        if allowed == -1:
            return None, ""
        return max(0, allowed - self._size), text

    def flush(self) -> None:
        """The step failed: deliver the end of its output."""
        if self._tail:
            self._deliver(bytes(self._tail))
        self._tail = None


class OpLog:
    """Standard output and standard error of one step."""

    def __init__(self, progress: Progress, limits: LogLimits) -> None:
        self.stdout = StreamLog(progress, STDOUT, limits)
        self.stderr = StreamLog(progress, STDERR, limits)

    def flush(self) -> None:
        self.stdout.flush()
        self.stderr.flush()
