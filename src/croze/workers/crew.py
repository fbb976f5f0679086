"""Workers at rest: forked ahead of need, lent to pools, replaced when they have grown."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Sequence
from contextlib import suppress

from croze.errors import CrozeError
from croze.workers.forkserver import ForkServer, WorkerHandle
from croze.workers.messages import HEAD, Message, unpack

KEPT = 8
"""How many of the workers that a crowd of builds has needed wait for the next one."""
LINGER_S = 2.0
"""For how long they wait."""
REST_S = 1.0
"""When a worker has had nothing to do for so long, it is looked at: the first work of a new one
takes some milliseconds more, which are for no build to pay that comes right after another."""
GROWN_BYTES = 4 << 20
"""Who has so much more memory than at birth, from large work, is replaced by a new one: Python has
kept it, in pieces, and would for as long as the daemon lives."""


class WorkerGone(Exception):
    """A worker's process has ended."""


class CallUnread(WorkerGone):
    """A worker's process has ended before it had read what it was to do."""


class CrewMember:
    """One process and our end of its socket."""

    def __init__(self, handle: WorkerHandle) -> None:
        self._handle = handle
        self._code: int | None = None
        self.socket = handle.connection
        self.socket.setblocking(False)
        self._writing = asyncio.Lock()
        self.torn = False
        """A message may have been sent in part."""
        self.is_at_work = False
        """Whether somebody waits for what it says, and so has to hear of its end."""
        self.resting_since_s = 0.0
        self.is_weighed = True
        """Whether it has been looked at since it worked."""

    def rest(self) -> None:
        """Note that it has nothing to do, from now on."""
        self.resting_since_s = asyncio.get_running_loop().time()
        self.is_weighed = False

    def has_grown(self) -> bool:
        """Whether too much is left of its work. To be asked once after each."""
        self.is_weighed = True
        return self._handle.weight() > GROWN_BYTES

    async def call(self, frame: bytes) -> Message:
        """Send a call; what the worker says first. Raises `WorkerGone`, and `CallUnread` if it was
        gone before it had read all of the call: then the kernel says that the connection was reset,
        as it does for nothing else (Linux `net/unix/af_unix.c`, `unix_release_sock`)."""
        try:
            await self._write(frame)
            return await self._message()
        except ConnectionError:
            raise CallUnread from None

    async def send(self, frame: bytes) -> None:
        """Send what is no call. Raises `WorkerGone`."""
        try:
            await self._write(frame)
        except ConnectionError:
            raise WorkerGone from None

    async def receive(self) -> Message:
        """The next message of the worker. Raises `WorkerGone`."""
        try:
            return await self._message()
        except ConnectionError:
            raise WorkerGone from None

    async def _write(self, frame: bytes) -> None:
        async with self._writing:
            await asyncio.get_running_loop().sock_sendall(self.socket, frame)

    async def _message(self) -> Message:
        size, _ = HEAD.unpack(await self._read(HEAD.size))
        return unpack(await self._read(size))

    async def _read(self, size: int) -> bytearray:
        loop = asyncio.get_running_loop()
        data = bytearray(size)
        view = memoryview(data)
        while view:
            count = await loop.sock_recv_into(self.socket, view)
            if not count:
                raise WorkerGone
            view = view[count:]
        return data

    @property
    def is_alive(self) -> bool:
        """Whether a worker that has nothing to say is alive. It may end at any time."""
        try:
            return bool(self.socket.recv(1, socket.MSG_PEEK))
        except BlockingIOError:
            return True
        except ConnectionError:
            return False

    def stop(self) -> int:
        """Kill and reap; what it ended with. A killed process runs no more, whatever it was
        doing. Idempotent."""
        if self._code is None:
            self._code = self._handle.end()
        if not self.is_at_work:
            self.socket.close()
        return self._code


class WorkerCrew:
    """Who has nothing to do, `spare` of them at least. Any number of pools may have a crew
    together, and each of them whoever has rested least: what he needs is at hand."""

    def __init__(self, modules: Sequence[str], spare: int) -> None:
        """Workers have `modules` loaded."""
        self._fork_server = ForkServer(modules)
        self._spare = spare
        self._idle: deque[CrewMember] = deque()
        self._workers: set[CrewMember] = set()
        self._looking: asyncio.TimerHandle | None = None
        self._closed = False

    def start(self) -> None:
        """Start the workers, without waiting until they are warm. Needs no event loop."""
        while len(self._workers) < self._spare:
            self._add()

    def _add(self) -> None:
        worker = CrewMember(self._fork_server.fork())
        self._workers.add(worker)
        self._idle.append(worker)

    def take(self) -> CrewMember:
        """One that lives: a new one if nobody rests. Raises `CrozeError` if there can be none."""
        while True:
            if not self._idle:
                self._add()
            worker = self._idle.pop()
            if worker.is_alive:
                return worker
            self.discard(worker)

    def give_back(self, worker: CrewMember) -> None:
        """Have it rest: it has done what it was taken for."""
        if self._closed or len(self._idle) >= max(self._spare, KEPT):
            self.discard(worker)
            return
        worker.rest()
        self._idle.append(worker)
        self._look_later()

    def discard(self, worker: CrewMember) -> int:
        """End it, whatever it does; what it ended with. Another takes its place. Idempotent."""
        self._workers.discard(worker)
        code = worker.stop()
        if not self._closed:
            with suppress(CrozeError):  # who needs one hears of it
                self.start()
        return code

    def _look_later(self) -> None:
        if self._looking is None:
            self._looking = asyncio.get_running_loop().call_later(REST_S, self._look)

    def _look(self) -> None:
        """End those that a crowd has left over once there has been none for a while, and replace
        those that have grown."""
        self._looking = None
        now_s = asyncio.get_running_loop().time()
        for worker in [*self._idle]:  # who has rested longest comes first
            rested_s = now_s - worker.resting_since_s
            is_left_over = len(self._idle) > self._spare and rested_s >= LINGER_S
            is_rested = rested_s >= REST_S and not worker.is_weighed
            if is_left_over or (is_rested and worker.has_grown()):
                self._idle.remove(worker)
                self.discard(worker)
        if len(self._idle) > self._spare or not all(each.is_weighed for each in self._idle):
            self._look_later()

    def close(self) -> None:
        """Kill all workers, and their fork server. Nothing is left."""
        self._closed = True
        self._idle.clear()
        if self._looking is not None:
            self._looking.cancel()
        for worker in list(self._workers):
            self.discard(worker)
        self._fork_server.close()
