"""How much memory a piece of work may take, when others have written what it reads, and what
becomes of it afterwards."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from croze.errors import ResourceExhausted

_PAGE: Final = resource.getpagesize()
_MANY_PAGES: Final = 256
_RESIDENT_FIELD, _SHARED_FIELD, _DATA_FIELD = 1, 2, 5
"""Fields of /proc/PID/statm (proc(5)), in pages: what is in memory; what of it is of files; data
and stacks, which `RLIMIT_DATA` counts."""
_M_ARENA_MAX: Final = -8
"""See mallopt(3)."""
_YOUNG: Final = 5_000
"""Objects that come, less those that go, until Python's collector looks through them."""
_YOUNG_PER_VERTEX: Final = 100
"""A vertex of a build has some 70, which are there until it ends."""
_OLDER: Final = (200, 10)
"""See `gc.set_threshold`."""


@contextlib.contextmanager
def bounded_memory(more_bytes: int) -> Iterator[None]:
    """Let the process take so much more than it has, and no more, while inside; raises
    `ResourceExhausted` when that is not enough. For processes that do one thing at a time: it
    counts for all threads."""
    pages = _pages(os.getpid())[_DATA_FIELD]
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = pages * _PAGE + more_bytes
    limited = soft != resource.RLIM_INFINITY and soft <= limit
    if not limited:
        if hard != resource.RLIM_INFINITY:
            limit = min(limit, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
    try:
        yield
    except MemoryError:
        raise ResourceExhausted("it needs too much memory") from None
    finally:
        if not limited:
            resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def memory_bytes() -> int:
    """What this process may have: the machine's memory, or less, if its control groups have a
    limit."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([machine, *_group_limits(Path("/proc/self/cgroup"), Path("/sys/fs/cgroup"))])


def _group_limits(groups: Path, mounted: Path) -> Iterator[int]:
    """The limits of a process's control groups, and of those above them (cgroups(7)). In a
    container its own may be where the top is."""
    with contextlib.suppress(OSError):
        for line in groups.read_text("utf-8").splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers == "":
                top, name = mounted, "memory.max"
            elif "memory" in controllers.split(","):
                top, name = mounted / "memory", "memory.limit_in_bytes"
            else:
                continue
            group = Path(path.lstrip("/"))
            for place in (group, *group.parents):
                with contextlib.suppress(OSError, ValueError):  # there is none, or it is "max"
                    yield int((top / place / name).read_text("ascii"))


def own_bytes(pid: int) -> int:
    """What a process has in memory besides files, be it shared with who has forked it. Raises
    `OSError` if there is none."""
    pages = _pages(pid)
    return (pages[_RESIDENT_FIELD] - pages[_SHARED_FIELD]) * _PAGE


def _pages(pid: int) -> list[int]:
    return [int(count) for count in Path(f"/proc/{pid}/statm").read_text("ascii").split()]


def share_one_heap() -> None:
    """Have all threads allocate from one heap of the C library, where each would have another, and
    keep megabytes of what was freed in it for itself. They don't wait for each other: one at a time
    runs Python. To be called before there are any; children inherit it."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc's alone
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)


def pace_collector(vertices: int) -> None:
    """Have Python's collector look for garbage among young objects, once there are more than that
    many vertices of builds have for themselves: these are no garbage before a build ends, and
    looking through all of a large one's takes a tenth of the time of a build that is cached."""
    gc.set_threshold(max(_YOUNG, _YOUNG_PER_VERTEX * vertices), *_OLDER)


@contextlib.contextmanager
def collector_paced(vertices: Callable[[], int]) -> Iterator[None]:
    """Ask how many vertices there are whenever the collector has looked, while inside."""

    def looked(phase: str, _: object) -> None:
        if phase == "stop":
            pace_collector(vertices())

    gc.callbacks.append(looked)
    try:
        yield
    finally:
        gc.callbacks.remove(looked)
        pace_collector(0)


class SpareMemory:
    """Memory that work has left over: the C library keeps what was freed, megabytes of it after
    something was compressed, for as long as there is no more work."""

    def __init__(self) -> None:
        self._malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's alone
        self._faults = 0

    def give_back(self) -> None:
        """Let the kernel have it, if there may be much: a look through it takes a while."""
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        if faults - self._faults > _MANY_PAGES:
            self.trim()
        self._faults = faults

    def trim(self) -> None:
        """Let the kernel have it, however much it is."""
        if self._malloc_trim is not None:
            self._malloc_trim(0)
