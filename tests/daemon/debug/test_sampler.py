"""Stacks of all threads."""

from __future__ import annotations

import threading
import time

from croze.daemon.debug.sampler import LONGEST_S, RATE_HZ, StackSampler, sampling


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


def test_memory_is_for_stacks_that_differ() -> None:
    """Ten minutes of a daemon with many threads are not a gigabyte."""
    with sampling(60) as sampler:
        while len(sampler._samples) < 20:
            time.sleep(0.01)
    stacks = [stack for _, each in sampler._samples for stack in each]
    assert len({id(stack) for stack in stacks}) == len(set(stacks)) < len(stacks)
    assert sampler._samples.maxlen == LONGEST_S * RATE_HZ
