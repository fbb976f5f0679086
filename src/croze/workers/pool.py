"""Pools of warm worker processes.

Each worker is forked by a process that has the modules of its work loaded (`workers.nursery`), and
talks over a socket pair. Nothing is shared with the daemon, so its threads and locks don't matter.

Cancellation. A task that is cancelled in `run` or `converse` kills its worker at once and a new one
takes its place: the function stops wherever it is. So a cancelled call may leave its target half
written, never half written *later*: when `CancelledError` comes out, nothing touches the files any
more. What runs here leaves no temporary files outside the paths it was given; the caller throws
its half-made target away, as after any error. Only `fs.content.index.ContentIndex.save` and the
notes of `fs.sync.local` replace files that are kept, and they do so by rename.

Start a pool from the main thread (workers die with the thread that started them), and after the
daemon has its own mount namespace (they see the mounts of the namespace they start in). A
descriptor of the daemon is `/proc/<daemon's pid>/fd/N` in a worker.
"""

from __future__ import annotations

import asyncio
import signal
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Concatenate, ParamSpec, Protocol, Self, TypeVar

from croze.aio.parallel import first_error
from croze.errors import CrozeError
from croze.workers.messages import (
    LENGTH,
    CallOutcome,
    Message,
    WorkerAnswer,
    WorkerCall,
    WorkerQuestion,
    pack,
    unpack,
)
from croze.workers.nursery import Newborn, Nursery
from croze.workers.shares import Shares

P = ParamSpec("P")
R = TypeVar("R")

Ask = Callable[[object], Awaitable[object]]
"""Puts a question to the daemon, from inside a conversation."""
FILE_WORK = ("croze.fs.preload",)
KEPT = 8
"""How many of the workers that a crowd of builds has needed wait for the next one."""
LINGER_S = 2.0
"""For how long they wait."""


class Pool(Protocol):
    """What packages need of a `WorkerPool` for plain calls; tests run the functions where they
    are."""

    async def run(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a module-level function with picklable arguments."""


class Conversations(Protocol):
    """What packages need of a `WorkerPool` for functions that ask in between."""

    async def converse(
        self,
        answer: Ask,
        cpu_s: int,
        function: Callable[Concatenate[Ask, P], Awaitable[R]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """See `WorkerPool.converse`."""


class WorkerDied(CrozeError):
    """A worker process went away in the middle of a call (killed, out of memory)."""


class TooMuchWork(CrozeError):
    """A conversation computed longer than it may."""


class _Worker:
    """One process and our end of its socket."""

    def __init__(self, newborn: Newborn) -> None:
        self._newborn = newborn
        self._code: int | None = None
        self.socket = newborn.connection
        self.socket.setblocking(False)
        self._writing = asyncio.Lock()
        self.torn = False
        """A message may have been sent in part."""

    async def send(self, frame: bytes) -> None:
        async with self._writing:
            await asyncio.get_running_loop().sock_sendall(self.socket, frame)

    async def receive(self) -> Message:
        """The next message of the worker. Raises ConnectionResetError if the process is gone."""
        (size,) = LENGTH.unpack(await self._read(LENGTH.size))
        return unpack(await self._read(size))

    async def _read(self, size: int) -> bytearray:
        loop = asyncio.get_running_loop()
        data = bytearray(size)
        view = memoryview(data)
        while view:
            count = await loop.sock_recv_into(self.socket, view)
            if not count:
                raise ConnectionResetError
            view = view[count:]
        return data

    @property
    def is_alive(self) -> bool:
        """Whether a worker that has nothing to say is alive."""
        with suppress(BlockingIOError):
            return bool(self.socket.recv(1, socket.MSG_PEEK))
        return True

    def stop(self) -> int:
        """Kill and reap; what it ended with. A killed process runs no more, whatever it was
        doing. Idempotent."""
        if self._code is None:
            self.socket.close()
            self._code = self._newborn.end()
        return self._code


class WorkerPool:
    """About `size` calls at once (see `shares`), each in a process of its own; `spare` of them
    begin at once. Use as `async with`, or `start` and `close`."""

    def __init__(
        self,
        size: int = 2,
        *,
        spare: int | None = None,
        modules: Sequence[str] = FILE_WORK,
        nursery: Nursery | None = None,
    ) -> None:
        """Workers have `modules` loaded, or come from a `nursery` that its owner closes, after the
        pools."""
        size = max(1, size)
        self._spare = size if spare is None else spare
        self._nursery = Nursery(modules) if nursery is None else nursery
        self._is_nursery_ours = nursery is None
        self._idle: deque[_Worker] = deque()
        self._workers: set[_Worker] = set()
        self._shares = Shares(size, 4 * size)
        self._leaving: asyncio.TimerHandle | None = None
        self._closed = False

    def start(self) -> None:
        """Start the workers, without waiting until they are warm. Needs no event loop."""
        while len(self._workers) < self._spare:
            self._add()

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
        value = await self._hold(WorkerCall(function, args, kwargs), None)
        return value  # type: ignore[return-value]

    async def converse(
        self,
        answer: Ask,
        cpu_s: int,
        function: Callable[Concatenate[Ask, P], Awaitable[R]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Call an asynchronous function, which may ask in between, in a worker: what it asks,
        `answer` says here, several at a time. `CrozeError`s of an answer are raised to the
        function, others end all. Raises TooMuchWork when it computes for more than `cpu_s` seconds,
        and else as `run` does."""
        value = await self._hold(WorkerCall(function, args, kwargs, True, cpu_s), answer)
        return value  # type: ignore[return-value]

    async def _hold(self, call: WorkerCall, answer: Ask | None) -> object:
        frame = pack(call)
        async with self._shares.slot():
            if self._closed:
                raise CrozeError("the worker pool is closed")
            worker = self._take()
            ended: CallOutcome | None = None
            try:
                await worker.send(frame)
                ended = await (_conversation(worker, answer) if answer else _result(worker))
            except (ConnectionError, EOFError) as error:
                raise _death(self._discard(worker), call) from error
            finally:
                self._give_back(worker, healthy=ended is not None and not worker.torn)
        if ended.error is not None:
            raise ended.error
        return ended.value

    def _add(self) -> None:
        worker = _Worker(self._nursery.fork())
        self._workers.add(worker)
        self._idle.append(worker)

    def _take(self) -> _Worker:
        while True:
            if not self._idle:
                self._add()
            worker = self._idle.pop()
            if worker.is_alive:
                return worker
            self._discard(worker)

    def _give_back(self, worker: _Worker, *, healthy: bool) -> None:
        if healthy and not self._closed and len(self._idle) < max(self._spare, KEPT):
            self._idle.append(worker)
            self._linger()
            return
        self._discard(worker)
        if not self._closed:
            self.start()

    def _linger(self) -> None:
        """Workers that a crowd has left over end once there has been none for a while."""
        if self._leaving is not None:
            self._leaving.cancel()
            self._leaving = None
        if len(self._idle) > self._spare:
            loop = asyncio.get_running_loop()
            self._leaving = loop.call_later(LINGER_S, self._end_left_over)

    def _end_left_over(self) -> None:
        while len(self._idle) > self._spare:
            self._discard(self._idle.popleft())

    def _discard(self, worker: _Worker) -> int:
        self._workers.discard(worker)
        return worker.stop()

    async def close(self) -> None:
        """Kill all workers; calls under way fail with WorkerDied. Nothing is left."""
        self._closed = True
        self._idle.clear()
        if self._leaving is not None:
            self._leaving.cancel()
        for worker in list(self._workers):
            self._discard(worker)
        if self._is_nursery_ours:
            self._nursery.close()


async def _result(worker: _Worker) -> CallOutcome:
    message = await worker.receive()
    assert isinstance(message, CallOutcome)
    return message


async def _conversation(worker: _Worker, answer: Ask) -> CallOutcome:
    """Answer until it ends. Answers under way that it no longer waits for are cancelled."""

    async def reply(question: WorkerQuestion) -> None:
        try:
            answered = WorkerAnswer(question.id, await answer(question.question))
        except CrozeError as error:
            answered = WorkerAnswer(question.id, error=error)
        await worker.send(pack(answered))

    async with first_error(), asyncio.TaskGroup() as group:
        replies: set[asyncio.Task[None]] = set()
        while isinstance(message := await worker.receive(), WorkerQuestion):
            task = group.create_task(reply(message))
            replies.add(task)
            task.add_done_callback(replies.discard)
        worker.torn = bool(replies)
        for task in replies:
            task.cancel()
    assert isinstance(message, CallOutcome)
    return message


def _death(code: int, call: WorkerCall) -> CrozeError:
    name = getattr(call.function, "__qualname__", repr(call.function))
    if code == -signal.SIGXCPU:
        return TooMuchWork(f"it took more than {call.cpu_s} seconds to compute")
    return WorkerDied(f"a worker process died while it ran {name}")
