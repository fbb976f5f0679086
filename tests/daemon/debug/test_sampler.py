"""Stacks of all threads."""

from __future__ import annotations

import threading

from croze.daemon.debug.sampler import StackSampler, sampling


def busy(started: threading.Event, stop: threading.Event) -> None:
    started.set()
    while not stop.wait(0.001):
        pass


def test_a_busy_thread_is_seen() -> None:
    started, stop = threading.Event(), threading.Event()
    thread = threading.Thread(target=busy, args=(started, stop), name="worker-thread")
    with sampling(60) as sampler:
        thread.start()
        started.wait()
        while f"{__name__}.busy:" not in sampler.folded():
            stop.wait(0.01)
    stop.set()
    thread.join()
    assert not sampler.running
    stack = next(line for line in sampler.folded().splitlines() if f"{__name__}.busy:" in line)
    assert stack.startswith("worker-thread;")
    assert int(stack.rpartition(" ")[2]) > 0


def test_old_samples_go() -> None:
    sampler = StackSampler(period_s=0)
    sampler.start()
    sampler.stop()
    assert sampler.folded() == ""
