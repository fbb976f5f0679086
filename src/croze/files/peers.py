"""Who is at the other end of a Unix socket, by what the kernel says (unix(7), SO_PEERCRED).

The kernel remembers who called `connect` or `listen`. Imports nothing but `os`: start-up time
counts.
"""

import os
import sys

TYPE_CHECKING = False  # `typing` takes longer than all that is here
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol, TypeVar

    T = TypeVar("T")

    class HasOptions(Protocol):
        """A socket, of `socket` or of `_socket`."""

        def getsockopt(self, level: int, option: int, size: int, /) -> bytes:
            """See getsockopt(2); `size` is how many bytes to read at most."""


SO_PEERPIDFD = 77
"""Linux 6.5; Python has no name for it."""


class Peer:
    """A process, as this one's namespaces know it. `pid` is 0 for one that they don't."""

    __slots__ = ("gid", "pid", "uid")

    def __init__(self, pid: int, uid: int, gid: int) -> None:
        self.pid, self.uid, self.gid = pid, uid, gid


def peer_of(sock: "HasOptions") -> Peer:
    """Who made the other end of a connected Unix socket. Raises `OSError`."""
    import _socket

    data = sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 12)
    words = (int.from_bytes(data[at : at + 4], sys.byteorder, signed=True) for at in (0, 4, 8))
    return Peer(*words)


def is_own(sock: "HasOptions") -> bool:
    """Whether the other end is this very user's."""
    return peer_of(sock).uid == os.geteuid()


def is_own_or_roots(sock: "HasOptions") -> bool:
    """Whether the other end is this user's or root's, who may do all that this user may."""
    return peer_of(sock).uid in (0, os.geteuid())


def sees_our_files(sock: "HasOptions") -> bool:
    """Whether the other end is this user's or root's, and has our mount namespace and root: a
    directory handed to it opens nothing that it can't reach by name."""
    return _has_our(sock, _mounts_and_root)


def has_our_root(sock: "HasOptions") -> bool:
    """Like `sees_our_files`, but the mount namespace may be another: such a process may have kept a
    root that sees our files before it left for its own, as Croze's daemon does."""
    return _has_our(sock, _root)


def _has_our(sock: "HasOptions", place: "Callable[[str], tuple[str | int, ...]]") -> bool:
    if peer_of(sock).uid not in (0, os.geteuid()):
        return False
    try:
        return looked_into(sock, place) == place("self")
    except OSError:
        return False


def looked_into(sock: "HasOptions", look: "Callable[[str], T]") -> "T":
    """What `look` finds of the process at the other end, by its number in /proc.

    Raises `OSError` when it may not look, and when the process is gone: its number could be
    another's by now, at the wish of who made the connection.
    """
    pid = peer_of(sock).pid
    if pid <= 0:
        raise ProcessLookupError("the process is in no namespace of ours")
    alive = _pidfd(sock, pid)
    try:
        answer = look(str(pid))
        if _is_over(alive):
            raise ProcessLookupError("the process has ended")
        return answer
    finally:
        os.close(alive)


def _pidfd(sock: "HasOptions", pid: int) -> int:
    import _socket
    import errno

    try:
        return int.from_bytes(sock.getsockopt(_socket.SOL_SOCKET, SO_PEERPIDFD, 4), sys.byteorder)
    except OSError as error:
        if error.errno not in (errno.ENOPROTOOPT, errno.EOPNOTSUPP):
            raise
        return os.pidfd_open(pid)


def _is_over(pidfd: int) -> bool:
    import select

    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(0))


def _root(pid: str) -> "tuple[str | int, ...]":
    root = os.stat(f"/proc/{pid}/root/")
    return root.st_dev, root.st_ino


def _mounts_and_root(pid: str) -> "tuple[str | int, ...]":
    return os.readlink(f"/proc/{pid}/ns/mnt"), *_root(pid)
