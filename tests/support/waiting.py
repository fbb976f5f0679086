"""Waiting for what others do: for the thing itself, however busy the machine is."""

from __future__ import annotations

import random
import select
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeVar

T = TypeVar("T")

PATIENCE_S: Final = 60.0
"""What has not come by then never will. It tells nothing of how soon something is to come: that is
counted, or timed by the processor."""
PAUSE_S: Final = 0.05
FIRST_PORT: Final = 10_000
PORTS_OF_THE_KERNEL = Path("/proc/sys/net/ipv4/ip_local_port_range")


def pause() -> None:
    """A short wait for other processes; there is no event to wait for."""
    select.select([], [], [], PAUSE_S)


def turns() -> Iterator[None]:
    """Turns of a loop that looks for something, as long as it makes sense to."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        yield
        pause()


def eventually(
    look: Callable[[], T],
    about: Callable[[], object] = lambda: "it has not come to that",
    *,
    process: subprocess.Popen[bytes] | subprocess.Popen[str] | None = None,
) -> T:
    """What `look` returns, once that is something. Fails, with what is to be said `about` it, when
    it can not be expected any more, as when the `process` that was to bring it about has ended."""
    for _ in turns():
        has_ended = process is not None and process.poll() is not None
        if found := look():
            return found
        assert not has_ended, about()
    raise AssertionError(about())


def free_port() -> int:
    """A port of loopback on which nothing listens, and which no connection or server is given that
    asks for just any."""
    end = int(PORTS_OF_THE_KERNEL.read_text().split()[0])
    while True:
        port = random.randrange(FIRST_PORT, end)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def listens(port: int) -> bool:
    """Whether somebody does, on loopback."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
