"""How much memory a piece of work may take, when others have written what it reads."""

from __future__ import annotations

import contextlib
import ctypes
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from croze.errors import ResourceExhausted

_PAGE: Final = resource.getpagesize()
_MANY_PAGES: Final = 256
_DATA_FIELD: Final = 5
"""The field of /proc/self/statm (proc(5)): data and stacks, in pages; what `RLIMIT_DATA` counts."""


@contextlib.contextmanager
def bounded_memory(more_bytes: int) -> Iterator[None]:
    """Inside, the process may take so much more than it has, and `ResourceExhausted` is raised when
    that is not enough. For processes that do one thing at a time: it counts for all threads."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[_DATA_FIELD])
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


class SpareMemory:
    """Memory that work has left over: the C library keeps what was freed, megabytes of it after
    something was compressed, for as long as there is no more work."""

    def __init__(self) -> None:
        self._trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's alone
        self._faults = 0

    def give_back(self) -> None:
        """Let the kernel have it, if there may be much: a look through it takes a while."""
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        if self._trim is not None and faults - self._faults > _MANY_PAGES:
            self._trim(0)
        self._faults = faults
