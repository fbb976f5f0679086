"""The inside of workers: `python -m croze.workers.inside FD MODULE…` forks one whenever it is told
to on FD (`croze.workers.forkserver`), which serves calls until its connection closes.

The modules are loaded first, so that calls find them warm, and all workers share them.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import itertools
import math
import os
import pickle
import resource
import socket
import sys
import traceback
from collections.abc import Awaitable, Callable, Iterator

from msgspec import Struct

from croze.errors import CrozeError, ResourceExhausted
from croze.files.installation import keep_installation
from croze.workers.forkserver import die_with_parent, forked
from croze.workers.memory import SpareMemory, bounded_memory, share_one_heap
from croze.workers.messages import (
    HEAD,
    CallOutcome,
    WorkerAnswer,
    WorkerCall,
    WorkerQuestion,
    pack,
    unpack,
)

_DEEPEST = 20_000
"""Calls within calls: a path has up to 2048 directories, and each takes some."""
_MEMORY_BYTES = 1 << 30
"""The memory of a conversation, whose work is text: more is an attack or a mistake."""
_FILE_MEMORY_BYTES = 2 << 30
"""The memory of a call, whose work is files: as many as anyone has, but not as much as an attacker
likes."""
_SPARE = SpareMemory()


def main() -> None:
    """The first worker process: load the modules that are named, then fork at each order that comes
    over the socket whose descriptor is named before them; a fork serves one connection."""
    die_with_parent()
    os.umask(0)
    sys.setrecursionlimit(_DEEPEST)
    share_one_heap()
    keep_installation()
    gc.disable()
    for name in sys.argv[2:]:
        importlib.import_module(name)
    gc.freeze()  # nothing of what is loaded is garbage, and a look at it would copy its pages
    connection = None
    with contextlib.suppress(ConnectionError), socket.socket(fileno=int(sys.argv[1])) as orders:
        connection = forked(orders)
    if connection is not None:
        gc.enable()
        serve(connection)


def serve(connection: socket.socket) -> None:
    """Serve calls on the connection until it closes: all that a worker does."""
    # A daemon that was killed may end the connection at any byte: there is nobody to tell.
    loops = contextlib.closing(asyncio.Runner())  # without one until there is a conversation
    with contextlib.suppress(ConnectionError), connection, loops as runner:
        link = ParentLink(connection)
        while (frame := link.receive()) is not None:
            if frame.is_call:  # an answer may come too late to be heard
                link.send(_serve(frame, link, runner))
                _SPARE.give_back()


class LinkFrame(Struct, frozen=True):
    """What the daemon has sent, unread: something of what it takes may not be loadable."""

    is_call: bool
    body: bytes


class ParentLink:
    """Our end of the connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._stream = sock.makefile("rb")

    def receive(self) -> LinkFrame | None:
        """The next frame; None when the daemon is gone, in the middle of one, too."""
        try:
            head = self._stream.read(HEAD.size)
            if len(head) < HEAD.size:
                return None
            length, is_call = HEAD.unpack(head)
            body = self._stream.read(length)
        except ConnectionError:
            return None
        return LinkFrame(is_call, body) if len(body) == length else None

    def buffered(self) -> bool:
        """Whether a part of a message is here already, unseen by those who watch the socket."""
        self.sock.setblocking(False)
        try:
            return bool(self._stream.peek(1))
        except (BlockingIOError, ValueError):
            return False
        finally:
            self.sock.setblocking(True)

    def send(self, frame: bytes) -> None:
        self.sock.sendall(frame)


class Questions:
    """Sends the questions of a conversation, and gives out the answers."""

    def __init__(self, link: ParentLink) -> None:
        self._link = link
        self._ids = itertools.count()
        self._waiting: dict[int, asyncio.Future[object]] = {}

    async def ask(self, question: object) -> object:
        """The daemon's answer to a question of the function that runs here. Raises what the answer
        raised."""
        id = next(self._ids)
        future = self._waiting[id] = asyncio.get_running_loop().create_future()
        self._link.send(pack(WorkerQuestion(id, question)))
        try:
            return await future
        finally:
            del self._waiting[id]

    def on_readable(self) -> None:
        """An answer is there, or several, or the daemon has gone."""
        while True:
            frame = self._link.receive()
            if frame is None:
                os._exit(0)
            self._take(frame)
            if not self._link.buffered():
                return

    def _take(self, frame: LinkFrame) -> None:
        try:
            answer = unpack(frame.body)
        except Exception as error:  # nobody knows whose answer it is
            for future in self._waiting.values():
                _settle(future, WorkerAnswer(0, error=error))
            return
        assert isinstance(answer, WorkerAnswer)
        if (waiting := self._waiting.get(answer.id)) is not None:
            _settle(waiting, answer)


def _settle(future: asyncio.Future[object], answer: WorkerAnswer) -> None:
    if future.done():
        return
    if answer.error is not None:
        future.set_exception(answer.error)
    else:
        future.set_result(answer.value)


def _serve(frame: LinkFrame, link: ParentLink, runner: asyncio.Runner) -> bytes:
    try:
        call = unpack(frame.body)
        assert isinstance(call, WorkerCall)
        if not call.conversation:
            with bounded_memory(_FILE_MEMORY_BYTES):
                return pack(CallOutcome(call.function(*call.args, **call.kwargs)))
        with _limited(call.cpu_s):
            return pack(CallOutcome(runner.run(_converse(call, link))))
    except MemoryError:
        return pack(CallOutcome(error=ResourceExhausted("it needs too much memory")))
    except RecursionError:
        return pack(CallOutcome(error=ResourceExhausted("it is nested too deeply")))
    except Exception as error:
        return _pack_error(error)


async def _converse(call: WorkerCall, link: ParentLink) -> object:
    asking = Questions(link)
    loop = asyncio.get_running_loop()
    loop.add_reader(link.sock, asking.on_readable)
    function: Callable[..., Awaitable[object]] = call.function
    try:
        return await function(asking.ask, *call.args, **call.kwargs)
    finally:
        loop.remove_reader(link.sock)


@contextlib.contextmanager
def _limited(cpu_s: int) -> Iterator[None]:
    """Limits inside which the kernel kills who goes beyond; waiting is not counted."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu, data = resource.getrlimit(resource.RLIMIT_CPU), resource.getrlimit(resource.RLIMIT_DATA)
    if cpu_s:
        total = math.ceil(used.ru_utime + used.ru_stime) + cpu_s
        resource.setrlimit(resource.RLIMIT_CPU, (_at_most(total, cpu[1]), cpu[1]))
    resource.setrlimit(resource.RLIMIT_DATA, (_at_most(_MEMORY_BYTES, data[1]), data[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_CPU, cpu)
        resource.setrlimit(resource.RLIMIT_DATA, data)


def _at_most(value: int, most: int) -> int:
    return value if most == resource.RLIM_INFINITY else min(value, most)


def _pack_error(error: Exception) -> bytes:
    error.add_note("In a worker process:\n" + traceback.format_exc())
    try:
        frame = pack(CallOutcome(error=error))
        pickle.loads(frame[HEAD.size :])  # some errors can be written but not read back
    except Exception:
        frame = pack(CallOutcome(error=CrozeError(f"{type(error).__name__}: {error}")))
    return frame


if __name__ == "__main__":
    main()
