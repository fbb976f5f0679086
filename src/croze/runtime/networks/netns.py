"""Network namespaces that a file keeps, and the interfaces in the one we are in."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from croze.errors import CrozeError, Unsupported
from croze.fs.mount import MS_BIND, in_own_thread, raw_mount, unmount

T = TypeVar("T")

CLONE_NEWNET = 0x40000000
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
SIOCBRDELBR = 0x89A1


def make_namespace(file: Path) -> None:
    """A fresh network namespace with a loopback, kept by a mount on `file`."""

    def make() -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(CLONE_NEWNET) != 0:
            reason = os.strerror(ctypes.get_errno())
            raise Unsupported(f"failed to make a network namespace: {reason}")
        set_up("lo")
        file.touch()
        raw_mount(f"/proc/self/task/{threading.get_native_id()}/ns/net", file, "", MS_BIND)

    in_own_thread(make)


def in_namespace(file: Path, work: Callable[[], T]) -> T:
    """What `work` gives in the network namespace that `file` keeps: a socket stays in it."""

    def enter() -> T:
        libc = ctypes.CDLL(None, use_errno=True)
        with open(file, "rb") as namespace:
            if libc.setns(namespace.fileno(), CLONE_NEWNET) != 0:
                reason = os.strerror(ctypes.get_errno())
                raise Unsupported(f"failed to enter a network namespace: {reason}")
        return work()

    return in_own_thread(enter)


def remove_namespace(file: Path) -> None:
    """Let go of the namespace that the file keeps, and remove the file. Idempotent."""
    with contextlib.suppress(CrozeError):
        unmount(file)
    file.unlink(missing_ok=True)


def set_up(name: str, *, up: bool = True) -> None:
    """Switch an interface on, or off. Source: netdevice(7). Raises `OSError`."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sh22x", name.encode(), 0)
        _, flags = struct.unpack("16sh22x", fcntl.ioctl(control, SIOCGIFFLAGS, request))
        flags = flags | IFF_UP if up else flags & ~IFF_UP
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh22x", name.encode(), flags))


def remove_bridge(name: str) -> None:
    """Delete a bridge of this network namespace. Raises `OSError`, `ENODEV` where there is none."""
    set_up(name, up=False)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SIOCBRDELBR, struct.pack("16s", name.encode()))


def has_interface(name: str) -> bool:
    return any(each == name for _, each in socket.if_nameindex())
