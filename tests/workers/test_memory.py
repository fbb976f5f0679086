"""What processes hold of memory."""

from __future__ import annotations

import gc
import os
import subprocess
import sys

import pytest

from croze.workers.memory import collector_paced, own_bytes, pace_collector
from tests.support.work import unmeasured

HEAPS = """\
import ctypes, sys, threading
from croze.workers.memory import share_one_heap
if sys.argv[1] == "one":
    share_one_heap()
kept = []
for _ in range(4):
    thread = threading.Thread(target=lambda: kept.append(bytearray(10_000)))
    thread.start()
    thread.join()
libc = ctypes.CDLL(None)
libc.fdopen.restype = ctypes.c_void_p
out = ctypes.c_void_p(libc.fdopen(1, b"w"))
libc.malloc_info(0, out)
libc.fflush(out)
"""


def heaps(asked: str) -> int:
    """How many the C library has."""
    done = subprocess.run(
        [sys.executable, "-c", HEAPS, asked], env=unmeasured(), capture_output=True, check=True
    )
    return done.stdout.count(b"<heap ")


def test_threads_allocate_from_one_heap() -> None:
    assert heaps("one") == 1
    assert heaps("many") > 1


def test_own_memory_is_what_is_of_no_file() -> None:
    before = own_bytes(os.getpid())
    data = b"x" * 50_000_000
    assert 45e6 < own_bytes(os.getpid()) - before < 60e6
    assert data
    with pytest.raises(FileNotFoundError):
        own_bytes(-1)


def test_the_collector_leaves_a_large_build_alone_until_it_ends() -> None:
    """Of 4,000 vertices it looks through no 400,000 objects every 5,000, and then as before."""
    was = gc.get_threshold()
    alive = [4_000]
    try:
        pace_collector(0)
        few = gc.get_threshold()[0]
        with collector_paced(lambda: alive[0]):
            assert gc.get_threshold()[0] == few
            gc.collect(0)
            assert gc.get_threshold()[0] == 400_000
            before = gc.get_stats()[0]["collections"]
            objects = [[number] for number in range(200_000)]
            assert gc.get_stats()[0]["collections"] == before
            alive[0] = 0
            objects.extend([number] for number in range(300_000))
            assert gc.get_stats()[0]["collections"] > before
            assert gc.get_threshold()[0] == few
            alive[0] = 4_000
            gc.collect(0)
        assert gc.get_threshold()[0] == few
    finally:
        gc.set_threshold(*was)
