"""Samples of something, taken while something else goes on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

Sample = dict[str, object]

INTERVAL_S = 2.0


class Sampler:
    """Takes one every two seconds between `start` and `stop`, fewer of what takes long, as BuildKit
    does (`executor/resources/sampler.go`)."""

    def __init__(
        self, take: Callable[[], Sample | None], max_samples: int, interval_s: float = INTERVAL_S
    ) -> None:
        """`take` gives None where nothing can be said. About `max_samples` are kept of however
        long a time."""
        self._take = take
        self._max_samples = max_samples
        self._interval_s = interval_s
        self._samples: list[tuple[float, Sample]] = []
        self._started = time.monotonic()
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._interval_s, self._tick)

    def stop(self) -> None:
        """Take no more samples. Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def samples(self) -> list[Sample]:
        """All samples so far, and one of now."""
        now, samples = self._take(), self.kept()
        return samples if now is None or now in samples[-1:] else [*samples, now]

    def kept(self) -> list[Sample]:
        """All samples so far."""
        samples: list[Sample] = []
        last = -self._interval_s
        for when, each in self._samples:
            if not samples or when - last >= self._interval_s:
                samples.append(each)
                last = when
        return samples

    def _tick(self) -> None:
        now = time.monotonic()
        if (each := self._take()) is not None:
            self._samples.append((now, each))
        if now - self._started >= self._interval_s * self._max_samples:
            self._interval_s *= 2
        self.start()
