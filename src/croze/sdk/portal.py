"""An event loop in a thread of its own, for callers that have none, or one that must not be used: a
notebook's, which is running already."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Self, TypeVar

from croze.errors import InvalidRequest
from croze.sdk.home import CLOSED, FORKED

T = TypeVar("T")


class Portal:
    """A context manager; the loop runs inside."""

    def __init__(self) -> None:
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid = os.getpid()
        self._closed = False
        self.keeps: object = None
        """What must live as long as this does."""
        self._thread = threading.Thread(target=self._run, name="croze-loop", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._loop is not None
        if self.forked:
            return  # the thread is the other process's
        self._closed = True
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    @property
    def forked(self) -> bool:
        """Whether this is another process than the one it was made in."""
        return os.getpid() != self._pid

    def call(self, work: Coroutine[object, object, T]) -> T:
        """Run work on the loop to its end. Ctrl-C (a notebook's stop button) cancels the work, and
        waits until it has ended. Raises `InvalidRequest` when there is no loop any more."""
        assert self._loop is not None
        if self.forked or self._closed:
            work.close()
            raise InvalidRequest(FORKED if self.forked else CLOSED)
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except KeyboardInterrupt:
            future.cancel()
            concurrent.futures.wait([future])
            raise

    def _run(self) -> None:
        with asyncio.Runner() as runner:
            self._loop = runner.get_loop()
            self._loop.call_soon(self._ready.set)
            self._loop.run_forever()
