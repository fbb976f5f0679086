"""How fast requests go to a storage that says when it is too fast: AWS's adaptive mode.

Nothing holds requests back until the first is throttled; then they go at 0.7 of the rate that was
measured, and faster again along a cubic curve that is flat where it was too fast before. Source:
AWS SDKs and Tools Reference Guide, "Retry behavior", and what the SDK for Go makes of it.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable

THROTTLED = frozenset(
    {
        *("Throttling", "ThrottlingException", "ThrottledException", "SlowDown"),
        *("RequestThrottled", "RequestThrottledException", "TooManyRequestsException"),
        *("RequestLimitExceeded", "LimitExceededException", "BandwidthLimitExceeded"),
        *("ProvisionedThroughputExceededException", "TransactionInProgressException"),
        *("PriorRequestNotComplete", "EC2ThrottledException"),
    }
)
"""What a storage calls its error when it wants less."""
_SLOWER = 0.7
_CURVE = 0.4
_SMOOTH = 0.8
_LEAST_PER_S = 0.5
_LEAST_TOKENS = 1.0


class Pace:
    """The pace of all requests to one storage. `clock`: in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._held_back = False
        self._tokens = 0.0
        self._capacity = 0.0
        self._per_s = 0.0
        self._filled_at = self._throttled_at = clock()
        self._measured_per_s = 0.0
        self._measured_at = float(math.floor(self._throttled_at))
        self._answers = 0
        self._most_per_s = 0.0
        """When it was too fast last."""

    async def go(self) -> None:
        """Wait until the next request may go."""
        while (wait_s := self.wait_s()) > 0:
            await asyncio.sleep(wait_s)

    def wait_s(self) -> float:
        """0 for who may go, and is counted; else how long until it is worth asking again."""
        if not self._held_back:
            return 0.0
        self._fill()
        if self._tokens >= 1:
            self._tokens -= 1
            return 0.0
        return (1 - self._tokens) / self._per_s

    def answered(self, *, throttled: bool) -> None:
        """Take note of an answer, or that there was none: `throttled` if the storage said that it
        was too fast."""
        self._measure()
        now = self._clock()
        if throttled:
            held = self._measured_per_s
            self._most_per_s = min(held, self._per_s) if self._held_back else held
            self._throttled_at = now
            self._held_back = True
            slower = self._most_per_s * _SLOWER
        else:
            flat_s = math.cbrt(self._most_per_s * (1 - _SLOWER) / _CURVE)
            slower = _CURVE * (now - self._throttled_at - flat_s) ** 3 + self._most_per_s
        self._set(min(slower, 2 * self._measured_per_s))

    def _set(self, per_s: float) -> None:
        self._fill()
        self._per_s = max(per_s, _LEAST_PER_S)
        self._capacity = max(per_s, _LEAST_TOKENS)
        self._tokens = min(self._tokens, self._capacity)

    def _fill(self) -> None:
        now = self._clock()
        self._tokens = min(self._tokens + (now - self._filled_at) * self._per_s, self._capacity)
        self._filled_at = now

    def _measure(self) -> None:
        """Answers a second, over half seconds, the last of which count most."""
        half = math.floor(self._clock() * 2) / 2
        self._answers += 1
        if half > self._measured_at:
            rate = self._answers / (half - self._measured_at)
            self._measured_per_s = rate * _SMOOTH + self._measured_per_s * (1 - _SMOOTH)
            self._answers = 0
            self._measured_at = half
