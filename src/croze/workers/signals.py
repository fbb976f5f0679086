"""Processes that end with the daemon, and with nothing else."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def ending_signals_blocked() -> Iterator[None]:
    """A process that is started inside heeds no signal of those that end the daemon. systemd,
    `timeout` and terminals send them to all processes of a service, of a command, of a session; the
    daemon finishes its builds first, and needs until then who works for it."""
    unblocked = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)  # a child inherits that
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
