"""Pools of warm worker processes.

Each worker is forked by a process that has the modules of its work loaded (`workers.forkserver`),
and talks over a socket pair. Nothing is shared with the daemon, so its threads and locks don't
matter.

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
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Concatenate, Final, ParamSpec, Protocol, Self, TypeVar

from croze.aio.parallel import first_error
from croze.errors import CrozeError
from croze.workers.crew import CallUnread, CrewMember, WorkerCrew, WorkerGone
from croze.workers.messages import (
    CallOutcome,
    Message,
    WorkerAnswer,
    WorkerCall,
    WorkerQuestion,
    pack,
)
from croze.workers.shares import Shares

P = ParamSpec("P")
R = TypeVar("R")

Ask = Callable[[object], Awaitable[object]]
"""Puts a question to the daemon, from inside a conversation."""
FILE_WORK = ("croze.fs.preload",)
_TRIES: Final = 3
"""A worker may end in the moment in which it is taken. If so many do, one after the other, more of
them would, too."""


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


class _NeverBegun(WorkerDied):
    """A worker process went away before it began."""


class TooMuchWork(CrozeError):
    """A conversation computed longer than it may."""


class WorkerPool:
    """About `size` calls at once (see `shares`), each in a process of its own; `spare` of them
    begin at once. Use as `async with`, or `start` and `close`."""

    def __init__(
        self,
        size: int = 2,
        *,
        spare: int | None = None,
        modules: Sequence[str] = FILE_WORK,
        crew: WorkerCrew | None = None,
    ) -> None:
        """Workers have `modules` loaded, or come from a `crew` that its owner closes, after the
        pools."""
        size = max(1, size)
        self._crew = crew or WorkerCrew(modules, size if spare is None else spare)
        self._is_crew_ours = crew is None
        self._working: set[CrewMember] = set()
        self._shares = Shares(size, 4 * size)
        self._closed = False

    def start(self) -> None:
        """Start the workers, without waiting until they are warm. Needs no event loop."""
        self._crew.start()

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
            ended = await self._ended(frame, call, answer)
        if ended.error is not None:
            raise ended.error
        return ended.value

    async def _ended(self, frame: bytes, call: WorkerCall, answer: Ask | None) -> CallOutcome:
        """What comes of it. Raises `WorkerDied` if it had begun, or too many died before."""
        for _ in range(_TRIES - 1):
            with suppress(_NeverBegun):
                return await self._tried(frame, call, answer)
        return await self._tried(frame, call, answer)

    async def _tried(self, frame: bytes, call: WorkerCall, answer: Ask | None) -> CallOutcome:
        """What comes of it in the hands of one worker. Raises `WorkerDied`."""
        if self._closed:
            raise CrozeError("the worker pool is closed")
        worker = self._crew.take()
        self._working.add(worker)
        worker.is_at_work = True
        ended: CallOutcome | None = None
        try:
            first = await worker.call(frame)
            ended = await _conversation(worker, first, answer) if answer else _outcome(first)
            return ended
        except WorkerGone as gone:
            raise _death(self._crew.discard(worker), call, gone) from None
        finally:
            self._working.discard(worker)
            worker.is_at_work = False
            if ended is None or worker.torn or self._closed:
                self._crew.discard(worker)
            else:
                self._crew.give_back(worker)

    async def close(self) -> None:
        """Kill who works; calls under way fail with WorkerDied. Nothing is left."""
        self._closed = True
        for worker in list(self._working):
            self._crew.discard(worker)
        if self._is_crew_ours:
            self._crew.close()


def _outcome(message: Message) -> CallOutcome:
    assert isinstance(message, CallOutcome)
    return message


async def _conversation(worker: CrewMember, message: Message, answer: Ask) -> CallOutcome:
    """Answer, beginning with this message, until it ends. Answers under way that it no longer waits
    for are cancelled."""

    async def reply(question: WorkerQuestion) -> None:
        try:
            answered = WorkerAnswer(question.id, await answer(question.question))
        except CrozeError as error:
            answered = WorkerAnswer(question.id, error=error)
        await worker.send(pack(answered))

    async with first_error(), asyncio.TaskGroup() as group:
        replies: set[asyncio.Task[None]] = set()
        while isinstance(message, WorkerQuestion):
            task = group.create_task(reply(message))
            replies.add(task)
            task.add_done_callback(replies.discard)
            message = await worker.receive()
        worker.torn = bool(replies)
        for task in replies:
            task.cancel()
    return _outcome(message)


def _death(code: int, call: WorkerCall, gone: WorkerGone) -> CrozeError:
    name = getattr(call.function, "__qualname__", repr(call.function))
    if isinstance(gone, CallUnread):
        return _NeverBegun(f"a worker process died before it ran {name}")
    if code == -signal.SIGXCPU:
        return TooMuchWork(f"it took more than {call.cpu_s} seconds to compute")
    return WorkerDied(f"a worker process died while it ran {name}")
