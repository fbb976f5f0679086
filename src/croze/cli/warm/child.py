"""A forked child of the warm process: becomes the caller's process, and runs one command.

It does so only for its own user, and where its own surroundings (`croze.cli.surroundings`) are
those of the caller, whom the kernel names: a caller in a sandbox, a container or under other limits
must not get out of them by way of this process.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import os
import select
import signal
import socket
import sys
import threading
import time
from typing import NoReturn

from msgspec import Struct

from croze.cli import early
from croze.cli.surroundings import installation, surroundings
from croze.cli.thin import PROTOCOL
from croze.files.peers import is_own, looked_into
from croze.files.standard import print_bytes_as_they_are, standard_error

REQUEST_TIMEOUT_S = 5.0
LARGEST_REQUEST_BYTES = 16 << 20
GRACE_S = 2.0
"""For a command whose caller has vanished."""
HANDED_OVER = 4
"""Three streams and the directory."""

INSTALLATION = installation()
"""As it was when this process started; `preload_all` adds to the environment."""


class WarmRequest(Struct, frozen=True):
    """One command, as its caller would have run it."""

    argv: list[str]
    umask: int
    environ: dict[bytes, bytes]
    streams: tuple[int, int, int]
    directory: int


class BadRequest(Exception):
    """A request that is not our thin start's, or from another installation or another place."""


def check_caller(connection: socket.socket, ours: bytes) -> None:
    """See that the caller is of our user, in `ours`, which are our own surroundings. Raises
    `BadRequest` if not, and `OSError` when it may not be looked into."""
    if not is_own(connection):
        raise BadRequest("from another user")
    if looked_into(connection, surroundings) != ours:
        raise BadRequest("from somewhere else")


def read_request(connection: socket.socket) -> WarmRequest:
    """Read one request frame and the file descriptors that come with it."""
    size = socket.CMSG_SPACE(HANDED_OVER * 4)
    data, ancillary, _flags, _address = connection.recvmsg(65536, size, socket.MSG_CMSG_CLOEXEC)
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


def _parse(body: bytes, fds: array.array[int]) -> WarmRequest:
    fields = body.split(b"\0")
    if fields[0] != PROTOCOL or fields[1] != INSTALLATION or len(fds) != HANDED_OVER:
        raise BadRequest("not of this installation")
    count = int(fields[3])
    pairs = (field.partition(b"=") for field in fields[4 + count :])
    return WarmRequest(
        argv=[os.fsdecode(a) for a in fields[4 : 4 + count]],
        umask=int(fields[2]),
        environ={key: value for key, _, value in pairs if key},
        streams=(fds[0], fds[1], fds[2]),
        directory=fds[3],
    )


def become(request: WarmRequest) -> None:
    """Turn this forked child into the process that the caller would have been."""
    for number, fd in enumerate(request.streams):
        os.dup2(fd, number)
    os.fchdir(request.directory)
    for fd in (*request.streams, request.directory):
        if fd > 2:
            os.close(fd)
    os.umask(request.umask)
    os.environb.clear()
    os.environb.update(request.environ)
    time.tzset()
    sys.stdin = os.fdopen(0, "r", closefd=False)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    print_bytes_as_they_are()
    sys.stderr = standard_error()
    sys.argv = ["croze", *request.argv]


def run_request() -> int:
    """Run the command, in the process that became the caller's."""
    from croze.cli.guard import finished
    from croze.cli.main import run

    try:
        return finished(run(sys.argv[1:]))
    except SystemExit as leaving:
        return finished(leaving.code if isinstance(leaving.code, int) else 1)


class WaitingCaller:
    """The process that waits for the exit code."""

    def __init__(self, connection: socket.socket, orders: socket.socket) -> None:
        self.connection = connection
        self._orders = orders
        self.told = False

    def tell(self, code: int) -> None:
        """The exit code, once. The warm process gets the next child ready then."""
        if self.told:
            return
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        self.told = True
        with contextlib.suppress(OSError):  # it has gone
            self.connection.sendall(f"X{code};".encode())
        self._orders.close()


def serve(connection: socket.socket, orders: socket.socket, ours: bytes) -> None:
    """Serve, in a child, one caller's command, from the request to the exit code. `ours`: see
    `check_caller`."""
    from croze.cli.asking import has_terminal, may_ask

    connection.settimeout(REQUEST_TIMEOUT_S)
    try:
        check_caller(connection, ours)
        request = read_request(connection)
        if not orders.recv(1):
            return  # the warm process has found itself out of date
        become(request)
        go_on_with_the_caller(connection)
        if looked_into(connection, has_terminal) and may_ask(request.argv):
            return
    except (BadRequest, OSError):
        return  # the caller runs the command itself
    connection.settimeout(None)
    connection.sendall(f"A{os.getpid()};".encode())
    caller = WaitingCaller(connection, orders)
    early.on_done(caller.tell)
    threading.Thread(target=relay_signals, args=(caller,), daemon=True).start()
    code = 1
    try:
        code = run_request()
    finally:
        caller.tell(code)


def go_on_with_the_caller(connection: socket.socket) -> None:
    """Have the kernel let this process go on, should it be stopped, when its caller says something
    or has ended: who stopped it may be killed before it undoes that, and so may the warm process
    be. It does so for nobody who waits in `recv`."""
    fcntl.fcntl(connection, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(connection, fcntl.F_SETSIG, signal.SIGCONT)
    fcntl.fcntl(connection, fcntl.F_SETFL, fcntl.fcntl(connection, fcntl.F_GETFL) | os.O_ASYNC)


def relay_signals(caller: WaitingCaller) -> None:
    """Give this process the signals its caller gets; but to be stopped is up to the caller, as only
    who stops us can be sure to let us go on after that. If it vanishes, so does this process:
    interrupted, and soon ended. A caller that has been told how the command ended leaves it the
    same time to put things away."""
    connection, numbers = caller.connection, b"\0"
    while numbers:
        try:
            select.select([connection], [], [])
            numbers = connection.recv(16)
        except OSError:
            numbers = b""
        if caller.told:
            break
        for number in numbers or [signal.SIGINT]:
            if number == signal.SIGTSTP:
                with contextlib.suppress(OSError):  # it has gone, as we shall read
                    connection.sendall(b"T0;")
            else:
                os.kill(os.getpid(), number)
    time.sleep(GRACE_S)
    os._exit(128 + signal.SIGINT)


def child(orders: socket.socket, *, ahead: bool) -> NoReturn:
    """A forked child: gets ready if it is `ahead` of its one caller, waits for it, and ends with
    the command."""
    from croze.cli.warm import preload

    code = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        if ahead:
            preload.rehearse()
        ours = surroundings()
        _, fds, _, _ = socket.recv_fds(orders, 1, 1)
        if fds:
            serve(socket.socket(fileno=fds[0]), orders, ours)
        code = 0
    finally:
        os._exit(code)
