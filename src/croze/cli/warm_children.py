"""The children of the warm process, as it sees them: some wait, the others run commands."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Callable

from msgspec import Struct

from croze.cli.warm_child import child
from croze.files.peers import peer_of


class Spare(Struct, frozen=True):
    """A child that waits, and our end of its socket pair."""

    pid: int
    orders: socket.socket


class Busy(Struct):
    """A child that runs a command, and a pidfd of its caller (-1 once that has ended)."""

    pid: int
    orders: socket.socket
    caller: int

    def go_on(self) -> None:
        """Let the child go on: its caller has ended, and nobody else would."""
        self._forget_caller()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGCONT)

    def told(self) -> int:
        """The child has told its caller how the command ended, or died; the caller's pidfd."""
        self.orders.close()
        return self.caller

    def close(self) -> None:
        self.orders.close()
        self._forget_caller()

    def _forget_caller(self) -> None:
        if self.caller >= 0:
            os.close(self.caller)
            self.caller = -1


MOST_SPARES = 8
"""Each takes some 7 MB."""


class Children:
    """The forked children, each known by our end of a socket pair: it is at its end when the child
    has ended, or has only to put things away; as the child's is when we have ended.

    As many wait for callers as there were at once lately, but one at least."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._busy: dict[int, Busy] = {}
        self._leaving: set[int] = set()
        """Pidfds of callers who know how their commands ended, and end now."""
        self._spares: list[Spare] = []
        self._wanted = 1

    def fds(self) -> list[int]:
        """Descriptors that are readable when a child or its caller has ended."""
        callers = [busy.caller for busy in self._busy.values() if busy.caller >= 0]
        return [*self._busy, *callers, *self._leaving]

    @property
    def is_short(self) -> bool:
        """Whether there are to be more spares, once nothing else is to be done."""
        return len(self._spares) < self._wanted

    def make_spares(self) -> None:
        """Fork as many children to wait as are wanted."""
        while self.is_short:
            self._fork()

    def want_few(self) -> None:
        """Want the least number of children to wait: nobody has come for a while."""
        self._wanted = 1
        while len(self._spares) > self._wanted:
            self._spares.pop().orders.close()

    def _fork(self, *, is_awaited: bool = False) -> None:
        """A child that takes a caller. One that is awaited already does nothing ahead of time: the
        command will do it."""
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            for busy in self._busy.values():
                busy.close()
            for spare in self._spares:
                spare.orders.close()
            for caller in self._leaving:
                os.close(caller)
            self._listener.close()
            ours.close()
            child(theirs, ahead=not is_awaited)
        theirs.close()
        self._spares.append(Spare(pid, ours))

    def hand_over(self, connection: socket.socket, current: Callable[[], bool]) -> bool:
        """Give a caller to a spare child, who has begun to read the request when this process
        finds out whether it is `current`. If not, nothing comes of it, and this returns False."""
        if not self._spares:
            self._fork(is_awaited=True)
        spare = self._spares.pop(0)
        try:
            caller = os.pidfd_open(peer_of(connection).pid)
        except OSError:
            caller = -1  # it has gone
        busy = Busy(spare.pid, spare.orders, caller)
        try:
            os.kill(spare.pid, signal.SIGCONT)  # it may have been stopped
            socket.send_fds(spare.orders, [b"\0"], [connection.fileno()])
        except OSError:
            busy.close()  # it died; the caller runs the command itself
            return True
        if not current():
            busy.close()
            return False
        with contextlib.suppress(OSError):
            spare.orders.send(b"\0")
        self._busy[spare.orders.fileno()] = busy
        self._wanted = max(self._wanted, min(len(self._busy), MOST_SPARES))
        return True

    def ended(self, fd: int) -> None:
        """Forget a child, and have the next one ready when its caller has ended, too, unless others
        are at work; or see to it that a child whose caller has ended does not stay stopped."""
        if fd in self._busy:
            caller = self._busy.pop(fd).told()
            if caller >= 0:
                self._leaving.add(caller)
            else:
                self._have_one_ready()
            return
        if fd in self._leaving:
            self._leaving.remove(fd)
            os.close(fd)
            self._have_one_ready()
            return
        for busy in self._busy.values():
            if busy.caller == fd:
                busy.go_on()

    def _have_one_ready(self) -> None:
        if not self._busy and not self._spares:
            self._fork()
