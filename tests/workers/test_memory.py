"""What processes hold of memory."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from croze.workers.memory import own_bytes
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
