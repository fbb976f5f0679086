"""Runs blocking work in threads, which has always ended before its awaiter goes on.

`asyncio.to_thread` leaves its thread running behind a task that is cancelled: what comes next, such
as removing the directory that the thread works in, then happens at the same time. Here a
cancellation waits for the work and goes on when it has ended. Work that may wait for somebody else
without end (a pipe, a program that asks the user) is `abandonable`, and must not touch what others
clean up. `loop.run_in_executor` and `asyncio.to_thread` are banned elsewhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import os
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import BinaryIO, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_FEW = 200


async def finish(work: Awaitable[T]) -> T:
    """Wait until `work` is done. A cancellation that comes meanwhile goes on afterwards."""
    future = asyncio.ensure_future(work)  # noqa: TID251 - owned right here
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        if not future.cancelled():
            future.exception()  # it is the cancellation that counts now
        raise cancelled
    return future.result()


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call it in a thread, to its end: when this returns or raises, nothing of it runs any more.

    It is called even if the task is cancelled at once, so that it may be what cleans up. What it
    returns to a cancelled task is dropped: see `opened` for a file.
    """
    return await finish(start_in_thread(function, *args, **kwargs))


async def in_thread_if_many(
    count: int, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """Work on so many small things: a few are done at once, sooner than a thread would begin."""
    if count <= _FEW:
        return function(*args, **kwargs)
    return await in_thread(function, *args, **kwargs)


def start_in_thread(
    function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> asyncio.Future[T]:
    """Begin a call in a thread. The owner keeps the future, and waits for it before it ends."""
    call = functools.partial(contextvars.copy_context().run, function, *args, **kwargs)
    return asyncio.get_running_loop().run_in_executor(None, call)


async def abandonable(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call it in a thread of its own that a cancellation leaves behind, as does the end of the
    process. For work that may wait for ever and that nobody needs to have ended."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]

    def work() -> None:
        result, error = None, None
        try:
            result = function(*args, **kwargs)
        except BaseException as caught:
            error = caught
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody asks any more
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=work, name="abandonable", daemon=True).start()
    return await future


@contextlib.asynccontextmanager
async def opened(path: str | os.PathLike[str], mode: str = "rb") -> AsyncIterator[BinaryIO]:
    """A file opened in a thread (a disk may be slow), closed whatever happens. `mode` is binary."""
    with contextlib.ExitStack() as stack:

        def enter() -> BinaryIO:
            file: BinaryIO = stack.enter_context(open(path, mode))  # type: ignore[assignment]
            return file

        yield await in_thread(enter)


async def chunks(path: str | os.PathLike[str], size_bytes: int) -> AsyncGenerator[bytes, None]:
    """A file's bytes, read piece by piece in threads, each while the one before is used. To be
    closed (`contextlib.aclosing`) by who does not come to the end of them."""
    # No generator within another: the end of the loop closes all that are left, at once.
    with contextlib.ExitStack() as stack:
        file = await in_thread(lambda: stack.enter_context(open(path, "rb", buffering=0)))
        ahead = start_in_thread(file.read, size_bytes)
        try:
            while data := await finish(ahead):
                ahead = start_in_thread(file.read, size_bytes)
                yield data
        finally:
            with contextlib.suppress(OSError):
                await finish(ahead)
