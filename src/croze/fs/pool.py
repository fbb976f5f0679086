"""Warm worker processes for file work.

Each worker is a fresh interpreter (`python -m croze.fs.worker`) that has the fs modules loaded and
talks over a socket pair: pickled calls in, pickled results out. Nothing is shared with the daemon,
so its threads, locks and gRPC state don't matter.

Cancellation. A task that is cancelled in `run` kills its worker at once and a new one takes its
place: the function stops wherever it is. So a cancelled call may leave its target half written,
never half written *later*: when `CancelledError` comes out of `run`, nothing touches the files
any more. Functions here leave no temporary files outside the paths they were given; the caller
throws its half-made target away, as after any error. Only `Index.save` and the notes of `sync`
replace files that are kept, and they do so by rename.

Start the pool from the main thread (workers die with the thread that started them), and after the
daemon has its own mount namespace (they see the mounts of the namespace they start in). A
descriptor of the daemon is `/proc/<daemon's pid>/fd/N` in a worker.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import socket
import struct
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from typing import ParamSpec, Protocol, Self, TypeVar

from croze.errors import CrozeError

P = ParamSpec("P")
R = TypeVar("R")

_LENGTH = struct.Struct(">Q")


class Pool(Protocol):
    """What rooms need of a `WorkerPool`; tests run the functions where they are."""

    async def run(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a module-level function with picklable arguments."""


class WorkerDied(CrozeError):
    """A worker process went away in the middle of a call (killed, out of memory)."""


class _Worker:
    """One process and our end of its socket."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "croze.fs.worker", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                umask=0o022,  # what they make is in images, not the daemon's own
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        ours.setblocking(False)
        self.socket = ours

    async def call(self, request: bytes) -> tuple[bool, object]:
        """Send one call, wait for its answer: whether it succeeded, and the result or error."""
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(self.socket, _LENGTH.pack(len(request)) + request)
        (size,) = _LENGTH.unpack(await self._receive(loop, _LENGTH.size))
        answer = pickle.loads(await self._receive(loop, size))
        assert isinstance(answer, tuple)
        return bool(answer[0]), answer[1]

    async def _receive(self, loop: asyncio.AbstractEventLoop, size: int) -> bytearray:
        data = bytearray(size)
        view = memoryview(data)
        while view:
            count = await loop.sock_recv_into(self.socket, view)
            if not count:
                raise ConnectionResetError
            view = view[count:]
        return data

    def stop(self) -> None:
        """Kill and reap. A killed process is gone for sure, whatever it was doing."""
        self.socket.close()
        self.process.kill()
        self.process.wait()


class WorkerPool:
    """At most `size` calls at once, each in a process of its own. Use as `async with`, or `start`
    and `close`."""

    def __init__(self, size: int = 2) -> None:
        self._size = max(1, size)
        self._idle: deque[_Worker] = deque()
        self._workers: set[_Worker] = set()
        self._slots = asyncio.Semaphore(self._size)
        self._closed = False

    def start(self) -> None:
        """Start the workers, without waiting until they are warm. Needs no event loop."""
        while len(self._workers) < self._size:
            worker = _Worker()
            self._workers.add(worker)
            self._idle.append(worker)

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def run(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a module-level function in a worker. Its errors are raised here with their details.

        Raises WorkerDied if the process is killed. On cancellation the work has stopped when this
        returns (see the module's docstring).
        """
        request = pickle.dumps((function, args, kwargs), protocol=pickle.HIGHEST_PROTOCOL)
        async with self._slots:
            if self._closed:
                raise CrozeError("the worker pool is closed")
            worker = self._take()
            healthy = False
            try:
                succeeded, value = await worker.call(request)
                healthy = True
            except (ConnectionError, EOFError) as error:
                name = getattr(function, "__qualname__", repr(function))
                raise WorkerDied(f"a worker process died while it ran {name}") from error
            finally:
                self._give_back(worker, healthy=healthy)
        if succeeded:
            return value  # type: ignore[return-value]
        assert isinstance(value, BaseException)
        raise value

    def _take(self) -> _Worker:
        if not self._idle:
            self.start()
        worker = self._idle.popleft()
        if worker.process.poll() is None:
            return worker
        self._discard(worker)
        return self._take()

    def _give_back(self, worker: _Worker, *, healthy: bool) -> None:
        if healthy and not self._closed:
            self._idle.append(worker)
            return
        self._discard(worker)
        if not self._closed:
            self.start()

    def _discard(self, worker: _Worker) -> None:
        self._workers.discard(worker)
        worker.stop()

    async def close(self) -> None:
        """Kill all workers; calls under way fail with WorkerDied. Nothing is left."""
        self._closed = True
        self._idle.clear()
        for worker in list(self._workers):
            worker.process.kill()
        for worker in list(self._workers):
            self._discard(worker)
