"""The fork server, of which workers come: a process that has the modules of their work loaded.

A fork takes milliseconds where a new interpreter takes hundreds, and what is loaded is in memory
once. The daemon itself can't fork: it has threads, and locks that they hold. This process does
nothing else, and has one thread.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from typing import Final

from croze.errors import CrozeError, os_message
from croze.workers.memory import own_bytes
from croze.workers.signals import ending_signals_blocked

_PR_SET_PDEATHSIG: Final = 1
_FORK, _WEIGH, _END = b"f", b"w", b"e"
_ORDER: Final = struct.Struct(">cQ")
"""What to do, and with which of the workers, counted from 0."""
DYING_S: Final = 1.0
"""How long the end of a killed process is waited for; it takes milliseconds."""
PATIENCE_S: Final = 20.0
"""How long a fork server may take for an answer, which takes milliseconds once it has loaded its
modules. Somebody may have stopped it, and the whole daemon waits."""
_ANSWER: Final = struct.Struct(">q")
"""What it weighs in bytes, or what it ended with, as `subprocess` has it."""


class ForkServer:
    """The daemon's end: of one process at a time, and another when that has died. Several pools may
    have one together. To be used from the main thread: everybody dies with who started it."""

    def __init__(self, modules: Sequence[str]) -> None:
        self._modules = modules
        self._process: _Process | None = None

    def fork(self) -> WorkerHandle:
        """A worker. Nobody waits until it is there: what is sent is read then. Raises `CrozeError`
        if there can be none: one process after another dies, or there are too many files open."""
        try:
            return self._forked()
        except OSError as error:
            raise CrozeError(f"no worker process can be made: {os_message(error)}") from error

    def _forked(self) -> WorkerHandle:
        if self._process is not None and self._process.is_alive:
            with suppress(ConnectionError, TimeoutError):  # it has just died, or hears nothing
                return self._process.fork()
        self.close()
        self._process = _Process(self._modules)
        return self._process.fork()

    def close(self) -> None:
        """Kill it, and with it whoever is left. Idempotent."""
        if self._process is not None:
            self._process.close()
            self._process = None


class WorkerHandle:
    """A worker that was asked for. `connection` is our end of what it listens to."""

    def __init__(self, parent: _Process, number: int, connection: socket.socket) -> None:
        self._parent = parent
        self._number = number
        self.connection = connection

    def weight(self) -> int:
        """How many bytes of memory more than the fork server it has. Not after its end."""
        return self._parent.ask(_WEIGH, self._number) or 0

    def end(self) -> int:
        """Kill it, and wait until it runs no more; what it ended with, negative for a signal.
        Once."""
        code = self._parent.ask(_END, self._number)
        return -signal.SIGKILL if code is None else code


class _Process:
    """One process that forks."""

    def __init__(self, modules: Sequence[str]) -> None:
        from croze.files.installation import check_installation
        from croze.files.interpreter import own_environment  # who is forked starts no other

        check_installation()
        self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._orders.settimeout(PATIENCE_S)
        with theirs, ending_signals_blocked(), _closed_if_it_fails(self._orders):
            program = [sys.executable, "-SP" if sys.flags.no_site else "-P"]
            program += ["-m", "croze.workers.inside", str(theirs.fileno())]
            self._process = subprocess.Popen(
                [*program, *modules],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                umask=0o022,  # what they make is in images, not the daemon's own
                env=own_environment(),
            )
        self._count = 0

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def fork(self) -> WorkerHandle:
        """A worker. Raises `ConnectionError` if this process has died, `TimeoutError` if it takes
        no orders, and `OSError` if it lives and can have no more."""
        ours, theirs = socket.socketpair()
        with theirs, _closed_if_it_fails(ours):
            order = _ORDER.pack(_FORK, self._count)
            socket.send_fds(self._orders, [order], [theirs.fileno()])
        self._count += 1
        return WorkerHandle(self, self._count - 1, ours)

    def ask(self, order: bytes, number: int) -> int | None:
        """The answer; None of one that has died, and its workers with it. One that does not answer
        in time is killed: what it says later would be taken for another answer."""
        try:
            self._orders.send(_ORDER.pack(order, number))
            if answer := self._orders.recv(_ANSWER.size):
                return int(_ANSWER.unpack(answer)[0])
        except TimeoutError:
            self._process.kill()
            self._process.wait()
        except OSError:
            pass
        return None

    def close(self) -> None:
        self._orders.close()
        self._process.kill()
        self._process.wait()


@contextmanager
def _closed_if_it_fails(connection: socket.socket) -> Iterator[None]:
    try:
        yield
    except BaseException:
        connection.close()
        raise


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends (prctl(2), PR_SET_PDEATHSIG)."""
    _libc().prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


@cache
def _libc() -> ctypes.CDLL:
    """Once for a fork server and all its children: it is as large as all else that a fork begins
    with."""
    return ctypes.CDLL(None)


def forked(orders: socket.socket) -> socket.socket | None:
    """Fork as told, in the fork server's own process. Returns in each worker, with its connection,
    and in the end, with None. Raises ConnectionError if who told is gone before an answer."""
    server_pid = os.getpid()
    workers: dict[int, ForkedWorker] = {}
    dying: list[ForkedWorker] = []
    while received := _received(orders):
        message, fds = received
        order, number = _ORDER.unpack(message)
        if order == _FORK:
            with socket.socket(fileno=fds[0]) as connection:
                pid = _fork()
                if pid == 0:
                    orders.close()
                    die_with_parent()
                    return connection.dup() if os.getppid() == server_pid else None
                workers[number] = ForkedWorker(pid)
        elif order == _WEIGH:
            weighed = workers.get(number)  # what is unknown here must not end all the others
            orders.send(_ANSWER.pack(weighed.weight() if weighed is not None else 0))
        else:
            worker = workers.pop(number)
            orders.send(_ANSWER.pack(worker.killed()))
            dying = [each for each in (*dying, worker) if not each.is_reaped()]
    return None


def _received(orders: socket.socket) -> tuple[bytes, list[int]] | None:
    message, fds, _, _ = socket.recv_fds(orders, 64, 1, socket.MSG_CMSG_CLOEXEC)
    return (message, fds) if message else None


def _fork() -> int:
    """-1 if there is no memory for another process: its connection is closed, and so it has died in
    the eyes of the daemon."""
    try:
        return os.fork()
    except OSError:
        return -1


class ForkedWorker:
    """A child of this process, until it is reaped."""

    def __init__(self, pid: int) -> None:
        """-1 for one that could not be born."""
        self._pid = pid

    def weight(self) -> int:
        """How many bytes of memory it has that this process has not; 0 if it has none."""
        try:
            return own_bytes(self._pid) - own_bytes(os.getpid())
        except OSError:
            return 0

    def killed(self) -> int:
        """Kill it; what it ended with. One that is caught in the kernel, at a file system that does
        not answer, may stay for as long, but never runs again: it counts as gone. See `is_reaped`.
        """
        if self._pid < 0:
            return -signal.SIGKILL
        os.kill(self._pid, signal.SIGKILL)
        ended = self._waited(DYING_S)
        return -signal.SIGKILL if ended is None else ended

    def _waited(self, for_s: float) -> int | None:
        fd = os.pidfd_open(self._pid)
        try:
            end = select.poll()
            end.register(fd, select.POLLIN)
            if not end.poll(for_s * 1000):
                return None
        finally:
            os.close(fd)
        pid, self._pid = self._pid, -1
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def is_reaped(self) -> bool:
        """Whether there is nothing left of it, at last."""
        return self._pid < 0 or self._waited(0) is not None
