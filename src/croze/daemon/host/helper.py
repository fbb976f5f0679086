"""The host helper: a small process of the daemon's. It stays in the mount namespace that the daemon
was started in, and outlives it long enough to kill its containers.

The daemon itself leaves for a namespace of its own. Clients on the same machine lend it directories
(`croze.session.hostdir`), but only to a process that has the very files before it that they have:
in a mount namespace of its own, a daemon could be any container's. So this process makes the
connections, of which the kernel remembers who made them, and hands them over.

What it does there is in `runtime.host_helper`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from croze.aio.descriptors import receive_fd
from croze.aio.streams import readable
from croze.aio.threads import finish
from croze.runtime import host_helper
from croze.workers.signals import ending_signals_blocked

log = logging.getLogger(__name__)


class HostHelper:
    """The daemon's end of the helper."""

    def __init__(self, sock: socket.socket, child: subprocess.Popen[bytes] | None = None) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._child = child
        self._lock = asyncio.Lock()

    @classmethod
    def start(cls) -> HostHelper:
        """Start the process, before there are threads. Nobody waits until it is there."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, ending_signals_blocked():
            child = subprocess.Popen(
                [sys.executable, "-I", "-S", host_helper.__file__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                cwd="/",
            )
        return cls(ours, child)

    @property
    def pid(self) -> int:
        assert self._child is not None
        return self._child.pid

    def watch(self, pids: Path) -> None:
        """Let the containers whose pid files are there, named after them, die with the daemon from
        now on, unless the helper has died. For one that is alone on its state directory."""
        try:
            self._sock.send(host_helper.WATCH + os.fsencode(os.path.abspath(pids)))
        except ConnectionError as error:
            log.warning("containers may outlive this daemon: its helper has died (%s)", error)

    def close(self) -> None:
        """End it without its doing anything. Idempotent."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()
        self._sock.close()

    async def dial(self, name: str) -> socket.socket:
        """See `session.packets.Dial`."""
        async with self._lock:
            with ExitStack() as unwanted:
                # To the end: an answer that nobody took would be the next one's.
                sock = await finish(self._dial(name, unwanted))
                unwanted.pop_all()
                return sock

    async def _dial(self, name: str, unwanted: ExitStack) -> socket.socket:
        self._sock.send(host_helper.CONNECT + name.encode())
        await readable(self._sock)
        answer, fd = receive_fd(self._sock, 1)
        if answer != host_helper.CONNECTED or fd is None:
            raise ConnectionRefusedError(f"could not connect to {name}")
        return unwanted.enter_context(socket.socket(fileno=fd))
