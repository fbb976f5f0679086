"""A caller with a start in Python: see `croze.cli.thin`, which has the protocol."""

from __future__ import annotations

import array
import contextlib
import os
import signal
import socket
from collections.abc import Iterable

from croze.cli.asking import has_terminal
from croze.cli.surroundings import surroundings
from croze.cli.thin import PROTOCOL
from croze.cli.warm.request import INSTALLATION, BadRequest, WarmRequest
from croze.cli.warm.stopping import goes_on_by
from croze.files.peers import is_own, looked_into

REQUEST_TIMEOUT_S = 5.0
LARGEST_REQUEST_BYTES = 16 << 20
HANDED_OVER = 4
"""Three streams and the directory."""


class ThinCaller:
    """See `WarmCaller`."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        connection.settimeout(REQUEST_TIMEOUT_S)

    def request(self, ours: bytes) -> WarmRequest:
        if not is_own(self._connection):
            raise BadRequest("from another user")
        if looked_into(self._connection, surroundings) != ours:
            raise BadRequest("from somewhere else")
        return _read_request(self._connection)

    def has_terminal(self) -> bool:
        return looked_into(self._connection, has_terminal)

    def take_on(self) -> None:
        goes_on_by(self._connection.fileno())
        self._connection.settimeout(None)
        self._connection.sendall(f"A{os.getpid()};".encode())

    def fileno(self) -> int:
        return self._connection.fileno()

    def signals(self) -> Iterable[int] | None:
        """All but SIGTSTP: to stop us is up to the caller, as only who does that can be sure to let
        us go on after it. It hears that now is the time."""
        numbers = self._connection.recv(16)
        if signal.SIGTSTP in numbers:
            with contextlib.suppress(OSError):  # it has gone, as we shall read
                self._connection.sendall(b"T0;")
        return [n for n in numbers if n != signal.SIGTSTP] if numbers else None

    def tell(self, code: int) -> None:
        self._connection.sendall(f"X{code};".encode())


def _read_request(connection: socket.socket) -> WarmRequest:
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
