"""The warm process: runs `croze` commands for its user, each in a forked child.

It has imported everything a command needs and opened nothing: no event loop, no grpc channel, no
thread, so that a fork is safe and takes milliseconds. It leaves when idle, when its installation
changes on disk, or when its socket is taken away.

The other end, and the protocol, is `croze.cli.thin`.
"""

from __future__ import annotations

import array
import contextlib
import os
import select
import signal
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from croze.cli.thin import PROTOCOL, build_stamp
from croze.drivers.places import runtime_dir, warm_socket

IDLE_TIMEOUT_S = 900.0
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
    os.setsid()
    for number, fd in enumerate(request.streams):
        os.dup2(fd, number)
    for fd in request.streams:
        if fd > 2:
            os.close(fd)
    os.umask(request.umask)
    os.environb.clear()
    os.environb.update(request.environ)
    os.chdir(request.cwd)
    time.tzset()
    sys.stdin = os.fdopen(0, "r", closefd=False)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    sys.argv = ["croze", *request.argv]


def serve_child(connection: socket.socket, request: Request) -> int:
    """In the child: run the command in a second process and relay signals to that."""
    worker = os.fork()
    if worker == 0:
        connection.close()
        code = 1
        try:
            become(request)
            from croze.cli.main import run

            code = run(request.argv)
        except SystemExit as leaving:
            code = leaving.code if isinstance(leaving.code, int) else 1
        finally:
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(OSError, ValueError):
                    stream.flush()
            os._exit(code)
    for fd in request.streams:
        os.close(fd)
    return relay_signals(connection, worker)


def relay_signals(connection: socket.socket, worker: int) -> int:
    """Pass the caller's signals to `worker`; a vanished caller interrupts it. The exit code."""
    exited = os.pidfd_open(worker)
    poller = select.poll()
    poller.register(exited, select.POLLIN)
    poller.register(connection, select.POLLIN)
    while True:
        ready = {fd for fd, _ in poller.poll()}
        if exited in ready:
            break
        numbers = _receive(connection)
        if not numbers:
            poller.unregister(connection)
            numbers = bytes([signal.SIGINT])
        for number in numbers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, number)
    _, status = os.waitpid(worker, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _receive(connection: socket.socket) -> bytes:
    try:
        return connection.recv(16)
    except OSError:
        return b""


def handle(connection: socket.socket, listener: socket.socket) -> None:
    """Fork a child for one caller. The parent returns at once."""
    connection.settimeout(5)
    try:
        request = read_request(connection)
    except (BadRequest, OSError):
        return
    if os.fork():
        for fd in request.streams:
            os.close(fd)
        return
    listener.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    connection.settimeout(None)
    with contextlib.suppress(OSError):
        connection.sendall(b"A")
        code = serve_child(connection, request)
        connection.sendall(f"X{code};".encode())
    os._exit(0)


def newest_source() -> float:
    """The latest change to this installation's own code, to notice an upgrade."""
    root = Path(__file__).resolve().parent.parent
    return max((p.stat().st_mtime for p in root.rglob("*.py")), default=0.0)


def preload() -> None:
    """Import what commands need. Nothing here may start a thread or open a connection."""
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
    from croze.cli.main import preload_commands

    preload_commands()


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
    preload()
    listener = listen(path)
    if listener is None:
        return 0
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    inode, stamp = os.stat(path).st_ino, newest_source()
    listener.settimeout(IDLE_TIMEOUT_S)
    try:
        while _still_ours(path, inode) and newest_source() == stamp:
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                break
            with connection:
                if newest_source() == stamp:
                    handle(connection, listener)
    finally:
        if _still_ours(path, inode):
            os.unlink(path)
    return 0


def _still_ours(path: str, inode: int) -> bool:
    try:
        return os.stat(path).st_ino == inode
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(main())
