"""Going on after having been stopped."""

from __future__ import annotations

import fcntl
import os
import signal
import socket


def goes_on_by(connection: socket.socket) -> None:
    """Have the kernel let this process go on, should it be stopped, when the other end says
    something or has ended: who stopped it may be killed before it undoes that. It does so for
    nobody who waits in `recv`."""
    fcntl.fcntl(connection, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(connection, fcntl.F_SETSIG, signal.SIGCONT)
    fcntl.fcntl(connection, fcntl.F_SETFL, fcntl.fcntl(connection, fcntl.F_GETFL) | os.O_ASYNC)
