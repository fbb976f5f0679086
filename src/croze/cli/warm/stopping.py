"""Going on after having been stopped."""

from __future__ import annotations

import fcntl
import os
import signal


def goes_on_by(fd: int) -> None:
    """Have the kernel let this process go on, should it be stopped, when the other end of a
    connection or a pipe says something or has ended: who stopped it may be killed before it undoes
    that, and so may the warm process be. It does so for nobody who waits in `recv`."""
    fcntl.fcntl(fd, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGCONT)
    fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_ASYNC)
