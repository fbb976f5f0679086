"""A forked child of the warm process: becomes the caller's process, and runs one command.

It does so only for its own user, and where its own surroundings (`croze.cli.surroundings`) are
those of the caller, whom the kernel names: a caller in a sandbox, a container or under other limits
must not get out of them by way of this process.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import sys
import threading
import time
from typing import NoReturn

from croze.cli import early
from croze.cli.surroundings import surroundings
from croze.cli.warm.callers import WarmCaller
from croze.cli.warm.request import BadRequest, become
from croze.cli.warm.shell_caller import ShellCaller
from croze.cli.warm.slots import LONGEST_LINE, SlotCall
from croze.cli.warm.thin_caller import ThinCaller

GRACE_S = 2.0
"""For a command whose caller has vanished."""


def run_request() -> int:
    """Run the command, in the process that became the caller's."""
    from croze.cli.guard import finished
    from croze.cli.main import run

    try:
        return finished(run(sys.argv[1:]))
    except SystemExit as leaving:
        return finished(leaving.code if isinstance(leaving.code, int) else 1)


class Waiting:
    """A caller that waits for the exit code."""

    def __init__(self, caller: WarmCaller, orders: socket.socket) -> None:
        self.caller = caller
        self._orders = orders
        self.told = False

    def tell(self, code: int) -> None:
        """The exit code, once. The warm process gets the next child ready then."""
        if self.told:
            return
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        self.told = True
        with contextlib.suppress(OSError):  # it has gone
            self.caller.tell(code)
        self._orders.close()


def serve(caller: WarmCaller, orders: socket.socket, ours: bytes) -> None:
    """Serve, in a child, one caller's command, from the request to the exit code. `ours`: see
    `WarmCaller.request`."""
    from croze.cli.asking import may_ask

    try:
        request = caller.request(ours)
        if not orders.recv(1):
            return  # the warm process has found itself out of date
        become(request)
        if caller.has_terminal() and may_ask(request.argv):
            return
        caller.take_on()
    except (BadRequest, OSError):
        return  # the caller runs the command itself
    waiting = Waiting(caller, orders)
    early.on_done(waiting.tell)
    threading.Thread(target=relay_signals, args=(waiting,), daemon=True).start()
    code = 1
    try:
        code = run_request()
    finally:
        waiting.tell(code)


def relay_signals(waiting: Waiting) -> None:
    """Give this process the signals its caller gets. If it vanishes, so does this process:
    interrupted, and soon ended. A caller that has been told how the command ended leaves it the
    same time to put things away."""
    caller = waiting.caller
    while True:
        try:
            select.select([caller.fileno()], [], [])
            signals = caller.signals()
        except OSError:
            signals = None
        if waiting.told:
            break
        for number in (signal.SIGINT,) if signals is None else signals:
            os.kill(os.getpid(), number)
        if signals is None:
            break
    time.sleep(GRACE_S)
    os._exit(128 + signal.SIGINT)


def child(orders: socket.socket, slots: str, *, ahead: bool) -> NoReturn:
    """A forked child: gets ready if it is `ahead` of its one caller, waits for it, and ends with
    the command. `slots` is the directory of callers with a start in bash."""
    from croze.cli.warm import preload

    code = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        if ahead:
            preload.rehearse()
        ours = surroundings()
        caller = _handed_over(orders, slots)
        if caller is not None:
            serve(caller, orders, ours)
        code = 0
    finally:
        os._exit(code)


def _handed_over(orders: socket.socket, slots: str) -> WarmCaller | None:
    """The caller whom the warm process gives to this child: a connection, or what was asked, its
    slot's FIFO and the process. None if the warm process ends, or wants fewer children."""
    data, fds, _, _ = socket.recv_fds(orders, LONGEST_LINE, 2)
    if len(fds) == 2:
        return ShellCaller(slots, SlotCall.read(data), *fds)
    return ThinCaller(socket.socket(fileno=fds[0])) if fds else None
