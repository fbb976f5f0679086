"""Who is at the other end of a Unix socket, by what the kernel says (unix(7), SO_PEERCRED).

The kernel remembers who called `connect` or `listen`. Imports nothing but `os`: start-up time
counts.
"""

import os
import sys
from typing import NamedTuple, Protocol

SO_PEERPIDFD = 77
"""Linux 6.5; Python has no name for it."""


class HasOptions(Protocol):
    """A socket, of `socket` or of `_socket`."""

    def getsockopt(self, level: int, option: int, size: int, /) -> bytes: ...


class Peer(NamedTuple):
    """A process, as this one's namespaces know it. `pid` is 0 for one that they don't."""

    pid: int
    uid: int
    gid: int


def peer_of(sock: HasOptions) -> Peer:
    """Who made the other end of a connected Unix socket. Raises `OSError`."""
    import _socket

    data = sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 12)
    words = (int.from_bytes(data[at : at + 4], sys.byteorder, signed=True) for at in (0, 4, 8))
    return Peer(*words)


def is_own(sock: HasOptions) -> bool:
    """Whether the other end is this very user's."""
    return peer_of(sock).uid == os.geteuid()


def is_own_or_roots(sock: HasOptions) -> bool:
    """Whether the other end is this user's or root's, who may do all that this user may."""
    return peer_of(sock).uid in (0, os.geteuid())


def sees_our_files(sock: HasOptions) -> bool:
    """Whether the other end is this user's or root's, and has our mount namespace and root: a
    directory handed to it opens nothing that it can't reach by name."""
    peer = peer_of(sock)
    if peer.pid <= 0 or peer.uid not in (0, os.geteuid()):
        return False
    try:
        alive = _pidfd(sock, peer.pid)
        try:
            same = _place(str(peer.pid)) == _place("self")
            # Were it gone, its number could be another process's by now.
            return same and not _is_over(alive)
        finally:
            os.close(alive)
    except OSError:
        return False


def _pidfd(sock: HasOptions, pid: int) -> int:
    import _socket

    try:
        return int.from_bytes(sock.getsockopt(_socket.SOL_SOCKET, SO_PEERPIDFD, 4), sys.byteorder)
    except OSError:
        return os.pidfd_open(pid)


def _is_over(pidfd: int) -> bool:
    import select

    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(0))


def _place(pid: str) -> tuple[str, int, int]:
    root = os.stat(f"/proc/{pid}/root/")
    return os.readlink(f"/proc/{pid}/ns/mnt"), root.st_dev, root.st_ino
