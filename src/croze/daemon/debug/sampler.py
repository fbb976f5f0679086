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
_DEEPEST = 200

Sample = tuple[float, str]
"""When, by the monotonic clock, and the stack of one thread."""


class StackSampler:
    """Keeps the samples of the last `period_s`."""

    def __init__(self, period_s: float) -> None:
        self.period_s = period_s
        self._samples: deque[Sample] = deque()
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
        counts = Counter(stack for _, stack in tuple(self._samples))
        return "".join(f"{stack} {count}\n" for stack, count in sorted(counts.items()))

    def _run(self) -> None:
        own = threading.get_ident()
        while not self._stop.wait(1 / RATE_HZ):
            now = time.monotonic()
            names = {thread.ident: thread.name for thread in threading.enumerate()}
            for ident, frame in sys._current_frames().items():
                if ident != own:
                    stack = ";".join((names.get(ident, str(ident)), *_calls(frame)))
                    self._samples.append((now, stack))
            while self._samples and self._samples[0][0] < now - self.period_s:
                self._samples.popleft()


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
