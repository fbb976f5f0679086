"""Lend a directory by handle to a daemon on the same host (`croze.v1.HostDir`), both ends.

The client answers with the name of an abstract Unix socket; the daemon connects, shows the token
and is handed the open directory. That it can connect proves that both are on one host and in one
network namespace; that the client has the directory open proves the client may read it. A daemon
may be able to read more below it than the client can, so it takes the offer only from its own
user or from root. Whatever goes wrong, the caller falls back to a transfer.
"""

from __future__ import annotations

import asyncio
import hmac
import os
import secrets
import socket
import struct
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from croze import errors
from croze.api import hostdir_pb2
from croze.api.hostdir_pb2_grpc import HostDirStub
from croze.grpc_errors import Context, translated
from croze.session.bridge import fresh_name
from croze.session.contract import Session
from croze.session.provider import Handler, unary

SERVICE = "croze.v1.HostDir"
TIMEOUT_S = 5.0
TOKEN_BYTES = 16


# -- the daemon's end ------------------------------------------------------------------------


@dataclass(frozen=True)
class HostDir:
    """A directory of the client, open here. Close it, or use it as a context manager."""

    fd: int
    delete_extra: bool = False
    """Of a target: whether what the export lacks is to be removed."""

    @property
    def path(self) -> str:
        """A path to it that also works in child processes, as long as it is open here."""
        return f"/proc/{os.getpid()}/fd/{self.fd}"

    def close(self) -> None:
        os.close(self.fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


async def open_dir(session: Session, name: str) -> HostDir | None:
    """A local source of the client; None if it can't be had this way. Raises `errors.NotFound`
    when the client does not lend a directory of this name."""
    if not session.serves(f"/{SERVICE}/Open"):
        return None
    request = hostdir_pb2.OpenRequest(name=name)
    try:
        with translated():
            answer = await HostDirStub(session.channel).Open(request, timeout=TIMEOUT_S)
    except errors.Unsupported:
        return None
    return await asyncio.to_thread(_receive, answer)


async def open_target(session: Session, exporter_id: int) -> HostDir | None:
    """The directory of a `local` exporter at the client; None if it can't be had this way."""
    if not session.serves(f"/{SERVICE}/OpenTarget"):
        return None
    request = hostdir_pb2.OpenTargetRequest(exporter_id=exporter_id)
    try:
        with translated():
            answer = await HostDirStub(session.channel).OpenTarget(request, timeout=TIMEOUT_S)
    except (errors.Unsupported, errors.NotFound):
        return None
    return await asyncio.to_thread(_receive, answer)


def _receive(answer: hostdir_pb2.OpenResponse) -> HostDir | None:
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(TIMEOUT_S)
            sock.connect(f"\0{answer.socket}")
            if _peer_uid(sock) not in (0, os.geteuid()):
                return None
            sock.sendall(answer.token)
            _, fds, _, _ = socket.recv_fds(sock, 1, 1)
    except OSError:
        return None
    return HostDir(fds[0], answer.delete_extra) if fds else None


def _peer_uid(sock: socket.socket) -> int:
    credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    uid: int = struct.unpack("3i", credentials)[1]
    return uid


# -- the client's end ------------------------------------------------------------------------


@dataclass(frozen=True)
class Target:
    """Where a `local` exporter writes."""

    path: Path
    delete_extra: bool = False


class HostDirProvider:
    """Lends directories by name, and the targets of exporters by index."""

    service = SERVICE

    def __init__(
        self, dirs: Mapping[str, Path], targets: Mapping[int, Target] | None = None
    ) -> None:
        self._dirs = dict(dirs)
        self._targets = dict(targets or {})

    def methods(self) -> Mapping[str, Handler]:
        return {
            "Open": unary(self._open, hostdir_pb2.OpenRequest),
            "OpenTarget": unary(self._open_target, hostdir_pb2.OpenTargetRequest),
        }

    async def _open(
        self, request: hostdir_pb2.OpenRequest, context: Context
    ) -> hostdir_pb2.OpenResponse:
        path = self._dirs.get(request.name)
        if path is None:
            raise errors.Unsupported(f'dir "{request.name}" is not lent by handle')
        return _offer(path)

    async def _open_target(
        self, request: hostdir_pb2.OpenTargetRequest, context: Context
    ) -> hostdir_pb2.OpenResponse:
        target = self._targets.get(request.exporter_id)
        if target is None:
            raise errors.Unsupported(f"exporter {request.exporter_id} has no directory")
        target.path.mkdir(0o700, parents=True, exist_ok=True)
        return _offer(target.path, target.delete_extra)


def _offer(path: Path, delete_extra: bool = False) -> hostdir_pb2.OpenResponse:
    """Open the directory and wait, on a thread, for the daemon to take it."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    name, token = fresh_name(), secrets.token_bytes(TOKEN_BYTES)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(f"\0{name}")
    listener.listen(1)
    giving = threading.Thread(target=_give, args=(listener, token, fd), daemon=True)
    giving.start()
    return hostdir_pb2.OpenResponse(socket=name, token=token, delete_extra=delete_extra)


def _give(listener: socket.socket, token: bytes, fd: int) -> None:
    try:
        listener.settimeout(TIMEOUT_S)
        with listener:
            sock, _ = listener.accept()
        with sock:
            sock.settimeout(TIMEOUT_S)
            if hmac.compare_digest(sock.recv(TOKEN_BYTES, socket.MSG_WAITALL), token):
                socket.send_fds(sock, [b"\0"], [fd])
    except OSError:
        pass  # the daemon did not come: it is on another host
    finally:
        os.close(fd)
