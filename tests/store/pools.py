"""A stand-in for the worker processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from croze.aio.threads import in_thread

P = ParamSpec("P")
T = TypeVar("T")


class ThreadPool:
    """Runs the workers' functions in threads. As with processes, nothing touches the files any
    more when a cancelled call returns; here because it waits for the thread."""

    async def run(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await in_thread(fn, *args, **kwargs)
