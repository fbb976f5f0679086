"""The daemon's host helper (`daemon.host.helper`): `python -I -S host_helper.py FD`.

It is told on FD, a socket of packets: `c` and a name, to connect to that abstract socket and hand
the connection over; `w` and a directory, to watch over the containers whose pid files are in it.
When the socket is at its end the daemon is gone, however it went, and its containers are killed.

It imports nothing of Croze, and next to nothing else: it takes a quarter of the memory so.
"""

from __future__ import annotations

import os
import sys
import time
from _socket import AF_UNIX, SCM_RIGHTS, SOCK_SEQPACKET, SOL_SOCKET, socket

CONNECT, WATCH = b"c", b"w"
CONNECTED, FAILED = b"y", b"n"
LARGEST_BYTES = 8192
ROUNDS = 40
ROUND_S = 0.05
BOOT_TIME_SLACK_S = 1.0
"""The kernel tells the time of the boot in whole seconds."""
_SIGKILL = 9


def main() -> None:
    orders = socket(fileno=int(sys.argv[1]))
    folder = ""
    while order := _received(orders):
        kind, argument = order[:1], order[1:]
        if kind == CONNECT:
            _connect(orders, argument)
        elif kind == WATCH:
            folder = os.fsdecode(argument)
    if folder:
        kill_all(folder)


def _received(orders: socket) -> bytes:
    """The next order; empty at the end."""
    try:
        return orders.recv(LARGEST_BYTES)
    except ConnectionError:  # the daemon went with an answer unread
        return b""


def _connect(orders: socket, name: bytes) -> None:
    sock = socket(AF_UNIX, SOCK_SEQPACKET)
    try:
        sock.setblocking(False)
        sock.connect(b"\0" + name)
        fd = sock.fileno().to_bytes(4, sys.byteorder)
        answer, rights = CONNECTED, [(SOL_SOCKET, SCM_RIGHTS, fd)]
    except (OSError, ValueError):
        answer, rights = FAILED, []
    try:
        orders.sendmsg([answer], rights)
    except OSError:
        pass  # the daemon has gone: the next order is the end
    finally:
        sock.close()


def kill_all(folder: str) -> None:
    """Kill the containers whose pid files are there, and those whose files come while this goes on:
    a runtime may be about to start one."""
    for _ in range(ROUNDS):
        try:
            names = os.listdir(folder)
        except OSError:
            return
        if not names:
            return
        for name in names:
            if pid := init_pid(f"{folder}/{name}"):
                try:
                    os.kill(pid, _SIGKILL)
                except OSError:
                    pass
        time.sleep(ROUND_S)


def init_pid(file: str) -> int:
    """The first process of the container that the pid file is named after, if it is alive, else 0.
    A pid that was given to another process since is told by its not being pid 1 of a namespace, in
    the container's cgroup; or, as a rootless container has no cgroup of its own, by its having
    started later."""
    text = _read(file).strip()
    if not (text.isascii() and text.isdigit()):
        return 0
    status = _read(f"/proc/{text}/status").splitlines()
    nspid = next((line for line in status if line.startswith("NSpid:")), "")
    if nspid.split()[-1:] != ["1"]:
        return 0
    name = file.rpartition("/")[2]
    is_ours = name in _read(f"/proc/{text}/cgroup") or _started_before(text, file)
    return int(text) if is_ours else 0


def _started_before(pid: str, file: str) -> bool:
    """Whether a process is older than what a file says (proc_pid_stat(5), proc_stat(5))."""
    try:
        lines = _read("/proc/stat").splitlines()
        boot = next(int(line.split()[1]) for line in lines if line.startswith("btime"))
        ticks = int(_read(f"/proc/{pid}/stat").rpartition(")")[2].split()[19])
        started = boot + ticks / os.sysconf("SC_CLK_TCK")
        return started <= os.stat(file).st_mtime + BOOT_TIME_SLACK_S
    except (OSError, ValueError, IndexError, StopIteration):
        return False


def _read(path: str) -> str:
    """What is in a file of the kernel's, or of ours; empty if it is gone."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except (OSError, ValueError):
        return ""


if __name__ == "__main__":
    main()
