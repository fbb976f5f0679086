"""Abstract Unix sockets of packets, of which nothing is left on disk.

Anybody on the machine may connect to one whose name he knows: who listens looks at the peer's
credentials.
"""

from __future__ import annotations

import secrets
import socket
from collections.abc import Awaitable, Callable

Dial = Callable[[str], Awaitable[socket.socket]]
"""Connects to an abstract socket (SOCK_SEQPACKET) of a client on this machine, from the mount
namespace that the daemon was started in. Raises `OSError`."""


def fresh_name() -> str:
    """A name for an abstract socket that nobody can guess."""
    return f"croze-{secrets.token_hex(16)}"


async def connect(name: str) -> socket.socket:
    """Connect to an abstract socket of packets. Raises `OSError`."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        sock.setblocking(False)
        sock.connect(f"\0{name}")
    except BaseException:
        sock.close()
        raise
    return sock
