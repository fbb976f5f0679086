"""The children of the warm process, as it sees them: some wait, the others run commands."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Callable

from msgspec import Struct

from croze.cli.warm.child import child
from croze.files.peers import peer_of


class Child(Struct):
    """A child that waits or runs a command: our end of its socket pair (closed once the child has
    told its caller how the command ended), and its caller's pidfd, while there is one."""

    pid: int
    orders: socket.socket
    caller: int = -1

    def close(self) -> None:
        self.orders.close()
        if self.caller >= 0:
            os.close(self.caller)


MOST_SPARES = 8
"""Each takes some 7 MB."""


class Children:
    """The forked children, each known by our end of a socket pair: it is at its end when the child
    has ended, or has only to put things away; as the child's is when we have ended.

    As many wait for callers as there were at once lately, but one at least."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._busy: dict[int, Child] = {}
        self._leaving: dict[int, Child] = {}
        """By the pidfds of callers who know how their commands ended, and end now."""
        self._spares: list[Child] = []
        self._wanted = 1

    def fds(self) -> list[int]:
        """Descriptors that are readable when a child has ended, or the caller of one that was told
        how its command did."""
        return [*self._busy, *self._leaving]

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
            self._spares.pop().close()

    def _fork(self, *, is_awaited: bool = False) -> None:
        """A child that takes a caller. One that is awaited already does nothing ahead of time: the
        command will do it."""
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            for other in (*self._busy.values(), *self._leaving.values(), *self._spares):
                other.close()
            self._listener.close()
            ours.close()
            child(theirs, ahead=not is_awaited)
        theirs.close()
        self._spares.append(Child(pid, ours))

    def hand_over(self, connection: socket.socket, current: Callable[[], bool]) -> bool:
        """Give a caller to a spare child, who has begun to read the request when this process
        finds out whether it is `current`. If not, nothing comes of it, and this returns False."""
        if not self._spares:
            self._fork(is_awaited=True)
        runner = self._spares.pop(0)
        with contextlib.suppress(OSError):  # it has gone
            runner.caller = os.pidfd_open(peer_of(connection).pid)
        try:
            os.kill(runner.pid, signal.SIGCONT)  # it may have been stopped
            socket.send_fds(runner.orders, [b"\0"], [connection.fileno()])
        except OSError:
            runner.close()  # it died; the caller runs the command itself
            return True
        if not current():
            runner.close()
            return False
        with contextlib.suppress(OSError):
            runner.orders.send(b"\0")
        self._busy[runner.orders.fileno()] = runner
        self._wanted = max(self._wanted, min(len(self._busy), MOST_SPARES))
        return True

    def ended(self, fd: int) -> None:
        """Forget a child, and have the next one ready when its caller has ended, too, unless others
        are at work."""
        if fd in self._busy:
            runner = self._busy.pop(fd)
            runner.orders.close()
            if runner.caller >= 0:
                self._leaving[runner.caller] = runner
            else:
                self._left(runner)
        else:
            self._left(self._leaving.pop(fd))

    def _left(self, runner: Child) -> None:
        runner.close()
        if not self._busy and not self._spares:
            self._fork()
