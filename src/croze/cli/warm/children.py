"""The children of the warm process, as it sees them: some wait, the others run commands."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Callable, Sequence

from msgspec import Struct

from croze.cli.warm.child import child
from croze.cli.warm.slots import SlotCall, Slots
from croze.files.peers import peer_of


class Child(Struct):
    """A child that waits or runs a command: our end of its socket pair (closed once the child has
    told its caller how the command ended), its caller's pidfd while the caller lives, and the slot
    by which it came, if it did by one."""

    pid: int
    orders: socket.socket
    caller: int = -1
    slot: int | None = None

    def close(self) -> None:
        self.orders.close()
        if self.caller >= 0:
            os.close(self.caller)
            self.caller = -1


MOST_SPARES = 8
"""Each takes some 7 MB."""


class Children:
    """The forked children, each known by our end of a socket pair: it is at its end when the child
    has ended, or has only to put things away; as the child's is when we have ended.

    As many wait for callers as there were at once lately, but one at least."""

    def __init__(self, listener: socket.socket, slots: Slots | None) -> None:
        """`slots` is None where the start in bash is not to be had."""
        self._listener, self._slots = listener, slots
        self._busy: dict[int, Child] = {}
        self._callers: dict[int, Child] = {}
        """Children by the pidfds of their callers, while those live."""
        self._spares: list[Child] = []
        self._wanted = 1

    def fds(self) -> list[int]:
        """Descriptors that are readable when a child has ended, has told its caller how the command
        did, or when a caller has ended."""
        return [*self._busy, *self._callers]

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
            for other in (*self._busy.values(), *self._callers.values(), *self._spares):
                other.close()
            self._listener.close()
            if self._slots is not None:
                self._slots.close()
            ours.close()
            child(theirs, self._slots.folder if self._slots else "", ahead=not is_awaited)
        theirs.close()
        self._spares.append(Child(pid, ours))

    def take_on(self, connection: socket.socket, current: Callable[[], bool]) -> bool:
        """Give who has connected to a child. See `_hand_over`."""
        caller = -1
        with contextlib.suppress(OSError):  # it has gone
            caller = os.pidfd_open(peer_of(connection).pid)
        return self._hand_over(b"\0", [connection.fileno()], caller, None, current)

    def take_on_ask(self, ask: SlotCall, current: Callable[[], bool]) -> bool:
        """Give who has asked by a slot to a child. See `_hand_over`."""
        assert self._slots is not None
        try:
            answers = self._slots.take(ask.slot)
        except KeyError:
            return True  # it is another's
        try:
            caller = os.pidfd_open(ask.pid)
            return self._hand_over(ask.line(), [answers, caller], caller, ask.slot, current)
        except OSError:
            self._slots.renew(ask.slot)  # it has gone
            return True
        finally:
            os.close(answers)

    def _hand_over(
        self,
        data: bytes,
        fds: Sequence[int],
        caller: int,
        slot: int | None,
        current: Callable[[], bool],
    ) -> bool:
        """Give a caller to a spare child, who has begun to read the request when this process
        finds out whether it is `current`. If not, nothing comes of it, and this returns False."""
        if not self._spares:
            self._fork(is_awaited=True)
        runner = self._spares.pop(0)
        runner.caller, runner.slot = caller, slot
        try:
            os.kill(runner.pid, signal.SIGCONT)  # it may have been stopped
            socket.send_fds(runner.orders, [data], fds)
        except OSError:
            self._forget(runner)  # it died; the caller runs the command itself
            return True
        if not current():
            self._forget(runner)
            return False
        with contextlib.suppress(OSError):
            runner.orders.send(b"\0")
        self._busy[runner.orders.fileno()] = runner
        if caller >= 0:
            self._callers[caller] = runner
        self._wanted = max(self._wanted, min(len(self._busy), MOST_SPARES))
        return True

    def ended(self, fd: int) -> None:
        """Forget a child and its caller once both have ended, and have the next child ready then,
        unless others are at work."""
        if fd in self._busy:
            runner = self._busy.pop(fd)
            runner.orders.close()
            self._renew(runner)
            has_ended = runner.caller < 0
        else:
            runner = self._callers.pop(fd)
            os.close(fd)
            runner.caller = -1
            has_ended = runner.orders.fileno() < 0
        if has_ended and not self._busy and not self._spares:
            self._fork()

    def _forget(self, runner: Child) -> None:
        runner.close()
        self._renew(runner)

    def _renew(self, runner: Child) -> None:
        """Make the slot by which its caller came for another: who still reads there has its own."""
        if runner.slot is not None and self._slots is not None:
            self._slots.renew(runner.slot)
