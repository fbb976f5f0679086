"""The warm process: runs `croze` commands for its user, each in a forked child.

It has imported everything a command needs and opened nothing: no event loop, no grpc channel, no
thread, so that a fork is safe and takes milliseconds. One child is forked ahead of need and gets
ready as far as it can (`croze.cli.preload.rehearse`); an accepted caller is handed to it whole. The
warm process leaves when idle, when its installation changes on disk, or when its socket is taken
away.

The other end, and the protocol, is `croze.cli.thin`.
"""

from __future__ import annotations

import array
import contextlib
import gc
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from croze.cli.thin import PROTOCOL, build_stamp
from croze.drivers.places import runtime_dir, warm_socket

IDLE_TIMEOUT_S = 900.0
LOOK_EVERY_S = 60.0
REQUEST_TIMEOUT_S = 5.0
LARGEST_REQUEST_BYTES = 16 << 20


@dataclass(frozen=True)
class Request:
    """One command, as its caller would have run it."""

    argv: list[str]
    cwd: str
    umask: int
    environ: dict[bytes, bytes]
    streams: tuple[int, int, int]


class BadRequest(Exception):
    """Not from our thin start, or from another installation's."""


def read_request(connection: socket.socket) -> Request:
    """Read one request frame and its three file descriptors."""
    data, ancillary, _flags, _address = connection.recvmsg(65536, socket.CMSG_SPACE(3 * 4))
    fds = array.array("i")
    for level, kind, payload in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(payload[: len(payload) - len(payload) % fds.itemsize])
    try:
        return _parse(_read_rest(connection, data), fds)
    except (BadRequest, ValueError, IndexError) as error:
        for fd in fds:
            os.close(fd)
        raise BadRequest(str(error)) from error


def _read_rest(connection: socket.socket, data: bytes) -> bytes:
    if len(data) < 4:
        raise BadRequest("short request")
    size = int.from_bytes(data[:4], "big")
    if size > LARGEST_REQUEST_BYTES:
        raise BadRequest("request too large")
    body = bytearray(data[4:])
    while len(body) < size:
        more = connection.recv(65536)
        if not more:
            raise BadRequest("request cut off")
        body += more
    return bytes(body)


def _parse(body: bytes, fds: array.array[int]) -> Request:
    fields = body.split(b"\0")
    if fields[0] != PROTOCOL or fields[1] != build_stamp() or len(fds) != 3:
        raise BadRequest("not of this installation")
    count = int(fields[4])
    pairs = (field.partition(b"=") for field in fields[5 + count :])
    return Request(
        argv=[os.fsdecode(a) for a in fields[5 : 5 + count]],
        cwd=os.fsdecode(fields[2]),
        umask=int(fields[3]),
        environ={key: value for key, _, value in pairs if key},
        streams=(fds[0], fds[1], fds[2]),
    )


def become(request: Request) -> None:
    """Turn this forked child into the process that the caller would have been."""
    for number, fd in enumerate(request.streams):
        os.dup2(fd, number)
    for fd in request.streams:
        if fd > 2:
            os.close(fd)
    os.umask(request.umask)
    os.environb.clear()
    os.environb.update(request.environ)
    # As `croze.client` sets it: grpc reads it when the first channel is made, which is later.
    os.environb.setdefault(b"GRPC_VERBOSITY", b"NONE")
    os.chdir(request.cwd)
    time.tzset()
    sys.stdin = os.fdopen(0, "r", closefd=False)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    sys.argv = ["croze", *request.argv]


def run_request(request: Request) -> int:
    """Run the command, in the process that became the caller's."""
    from croze.cli.main import run

    try:
        return run(request.argv)
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else 1


def serve(connection: socket.socket) -> None:
    """In a child: one caller's command, from the request to the exit code."""
    connection.settimeout(REQUEST_TIMEOUT_S)
    try:
        request = read_request(connection)
        become(request)
    except (BadRequest, OSError):
        return  # the caller runs the command itself
    connection.settimeout(None)
    connection.sendall(b"A")
    threading.Thread(target=relay_signals, args=(connection,), daemon=True).start()
    code = 1
    try:
        code = run_request(request)
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        connection.sendall(f"X{code};".encode())


def relay_signals(connection: socket.socket) -> None:
    """Give this process the signals its caller gets; a vanished caller interrupts it."""
    numbers = b"\0"
    while numbers:
        try:
            numbers = connection.recv(16)
        except OSError:
            numbers = b""
        for number in numbers or [signal.SIGINT]:
            os.kill(os.getpid(), number)


def child(orders: socket.socket) -> NoReturn:
    """A forked child: gets ready, waits for its one caller, and ends with the command."""
    from croze.cli import preload

    code = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        preload.rehearse()
        _, fds, _, _ = socket.recv_fds(orders, 1, 1)
        if fds:
            serve(socket.socket(fileno=fds[0]))
        code = 0
    finally:
        os._exit(code)


class Children:
    """The forked children, each known by our end of a socket pair: it is at its end when the child
    has ended, as the child's is when we have."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._busy: dict[int, socket.socket] = {}
        self._spare: socket.socket | None = None

    def fds(self) -> list[int]:
        """Readable when the child has ended."""
        return list(self._busy)

    def make_spare(self) -> None:
        """Fork the child that takes the next caller."""
        if self._spare is not None:
            return
        ours, theirs = socket.socketpair()
        if os.fork() == 0:
            for inherited in (self._listener, ours, *self._busy.values()):
                inherited.close()
            child(theirs)
        theirs.close()
        self._spare = ours

    def hand_over(self, connection: socket.socket) -> None:
        """Give a caller to the spare child."""
        self.make_spare()
        assert self._spare is not None
        spare, self._spare = self._spare, None
        try:
            socket.send_fds(spare, [b"\0"], [connection.fileno()])
        except OSError:
            spare.close()  # it died; the caller runs the command itself
        else:
            self._busy[spare.fileno()] = spare

    def ended(self, fd: int) -> None:
        """Forget a child, and have the next one ready."""
        self._busy.pop(fd).close()
        self.make_spare()


def loaded_code() -> dict[str, int]:
    """When each file of this installation that is loaded was last changed: by this an upgrade is
    noticed."""
    found = {}
    for name, module in list(sys.modules.items()):
        path = getattr(module, "__file__", None)
        if path and name.partition(".")[0] == "croze":
            with contextlib.suppress(OSError):
                found[path] = os.stat(path).st_mtime_ns
    return found


def preload_all() -> None:
    """Import what commands need. Nothing here may start a thread or open a connection."""
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # before anything imports grpc
    from croze.cli.main import preload_commands

    preload_commands()
    # Nothing of it is garbage: a collection would only make children copy its pages.
    gc.collect()
    gc.freeze()


def listen(path: str) -> socket.socket | None:
    """The warm socket, or None when a live process already answers there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        if probe.connect_ex(path) == 0:
            return None
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    os.chmod(path, 0o600)
    listener.listen(16)
    return listener


def main() -> int:
    """Run until idle. Started detached by the first full `croze` command."""
    os.makedirs(runtime_dir(), mode=0o700, exist_ok=True)
    path = warm_socket()
    preload_all()
    listener = listen(path)
    if listener is None:
        return 0
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    inode, code = os.stat(path).st_ino, loaded_code()
    try:
        answer_callers(listener, lambda: _still_ours(path, inode) and loaded_code() == code)
    finally:
        if _still_ours(path, inode):
            os.unlink(path)
    return 0


def answer_callers(listener: socket.socket, current: Callable[[], bool]) -> None:
    """Hand callers to children until nobody came for long, or until we are out of date."""
    children = Children(listener)
    children.make_spare()
    last_s = time.monotonic()
    while current() and time.monotonic() - last_s < IDLE_TIMEOUT_S:
        watched = [listener.fileno(), *children.fds()]
        ready, _, _ = select.select(watched, [], [], LOOK_EVERY_S)
        for fd in ready:
            last_s = time.monotonic()
            if fd != listener.fileno():
                children.ended(fd)
                continue
            connection, _ = listener.accept()
            with connection:
                if current():
                    children.hand_over(connection)


def _still_ours(path: str, inode: int) -> bool:
    try:
        return os.stat(path).st_ino == inode
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(main())
