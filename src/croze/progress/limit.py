"""How often a display draws."""

from __future__ import annotations

import os
import time

UPDATE_S = 0.1
TICK_S = 0.15


def rate_from_env() -> float | None:
    """The seconds between two updates that `TTY_DISPLAY_RATE` says, in milliseconds; None if it
    says none."""
    text = os.environ.get("TTY_DISPLAY_RATE", "")
    return int(text) / 1000 if text.isdecimal() else None


class Limiter:
    """Lets one update through, then none for a while; what is held back comes with a tick."""

    def __init__(self) -> None:
        rate = rate_from_env()
        self._every_s = UPDATE_S if rate is None else rate
        self._last = float("-inf")

    def allow(self) -> bool:
        now = time.monotonic()
        if now - self._last < self._every_s:
            return False
        self._last = now
        return True
