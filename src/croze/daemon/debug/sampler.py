"""Where the daemon spends its time: stacks of all threads, taken many times a second from a thread
of its own. Folded: one line a stack, `outer;inner count`, as flame graph tools read it."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import FrameType

RATE_HZ = 100
LONGEST_S = 600.0
"""The most that is kept, whatever the period."""
_DEEPEST = 200
_SHARED_MOST = 10_000

Sample = tuple[float, tuple[str, ...]]
"""When, by the monotonic clock, and the stacks of all threads."""


class StackSampler:
    """Keeps the samples of the last `period_s`."""

    def __init__(self, period_s: float) -> None:
        self.period_s = period_s
        self._samples: deque[Sample] = deque(maxlen=int(LONGEST_S * RATE_HZ))
        self._shared: dict[str, str] = {}
        """Stacks by themselves: most are met again and again, and kept once."""
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def running(self) -> bool:
        return self._thread is not None

    def start(self) -> None:
        """Begin anew to take samples. Not to be called while it runs."""
        self._samples.clear()
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, name="croze-sampler", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Take no more samples; those that were taken stay. Idempotent."""
        thread, self._thread = self._thread, None
        self._stop.set()
        if thread is not None:
            thread.join()

    def folded(self) -> str:
        """The samples as text: a line for each stack, with how often it was met."""
        counts = Counter(stack for _, stacks in tuple(self._samples) for stack in stacks)
        return "".join(f"{stack} {count}\n" for stack, count in sorted(counts.items()))

    def _run(self) -> None:
        own = threading.get_ident()
        while not self._stop.wait(1 / RATE_HZ):
            now = time.monotonic()
            names = {thread.ident: thread.name for thread in threading.enumerate()}
            frames = sys._current_frames().items()
            stacks = (
                ";".join((names.get(ident, str(ident)), *_calls(frame)))
                for ident, frame in frames
                if ident != own
            )
            self._samples.append((now, tuple(map(self._kept_once, stacks))))
            while self._samples and self._samples[0][0] < now - self.period_s:
                self._samples.popleft()

    def _kept_once(self, stack: str) -> str:
        if len(self._shared) >= _SHARED_MOST:
            self._shared.clear()
        return self._shared.setdefault(stack, stack)


@contextmanager
def sampling(period_s: float) -> Iterator[StackSampler]:
    """A sampler that runs inside, and keeps the last `period_s`."""
    sampler = StackSampler(period_s)
    sampler.start()
    try:
        yield sampler
    finally:
        sampler.stop()


def _calls(frame: FrameType) -> Iterable[str]:
    calls: list[str] = []
    at: FrameType | None = frame
    while at is not None and len(calls) < _DEEPEST:
        module = at.f_globals.get("__name__", "?")
        calls.append(f"{module}.{at.f_code.co_qualname}:{at.f_lineno}")
        at = at.f_back
    return reversed(calls)
