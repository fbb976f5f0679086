"""Addresses the daemon listens on: `unix://`, `tcp://`, and `fd://` from systemd."""

from __future__ import annotations

import asyncio
import contextlib
import grp
import logging
import os
import socket
import stat
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import grpc.aio

from croze.daemon.config import Tls
from croze.errors import InvalidRequest

log = logging.getLogger(__name__)

FIRST_PASSED_FD = 3


@asynccontextmanager
async def listening(
    server: grpc.aio.Server, addresses: Sequence[str], tls: Tls, group: str
) -> AsyncIterator[None]:
    """Bind everything; the socket files are gone afterwards. Start the server inside.

    Raises `InvalidRequest` for an address that can't be used.
    """
    async with contextlib.AsyncExitStack() as stack:
        for address in addresses:
            scheme, _, rest = address.partition("://")
            if scheme == "unix":
                stack.enter_context(_unix(server, Path(rest), group))
            elif scheme == "tcp":
                _tcp(server, rest, tls)
            elif scheme == "fd":
                for passed in passed_sockets(rest):
                    await stack.enter_async_context(_relayed(server, passed))
            else:
                raise InvalidRequest(f"invalid address {address}: use unix://, tcp:// or fd://")
        yield


@contextlib.contextmanager
def _unix(server: grpc.aio.Server, path: Path, group: str) -> Iterator[None]:
    path.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
    _remove_dead(path)
    old = os.umask(0o177)
    try:
        server.add_insecure_port(f"unix:{path}")
    finally:
        os.umask(old)
    os.chmod(path, 0o660)
    os.chown(path, -1, _group_id(group) if group else os.getgid())
    inode = path.stat().st_ino
    try:
        yield
    finally:
        # Another daemon may have taken the place meanwhile: only remove what is ours.
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_ino == inode:
                path.unlink()


def _remove_dead(path: Path) -> None:
    """A socket that nobody listens on is in the way; one that answers is somebody's."""
    try:
        if not stat.S_ISSOCK(path.stat().st_mode):
            raise InvalidRequest(f"{path} exists and is not a socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX) as probe:
        if probe.connect_ex(str(path)) == 0:
            raise InvalidRequest(f"another daemon listens on {path}")
    path.unlink()


def _group_id(name: str) -> int:
    try:
        return int(name) if name.isdigit() else grp.getgrnam(name).gr_gid
    except KeyError:
        raise InvalidRequest(f"unknown group {name}") from None


def _tcp(server: grpc.aio.Server, address: str, tls: Tls) -> None:
    credentials = _credentials(tls)
    if credentials is None:
        log.warning("TLS is not enabled for tcp://%s; anybody who reaches it is root here", address)
        bound = server.add_insecure_port(address)
    else:
        bound = server.add_secure_port(address, credentials)
    if bound == 0:
        raise InvalidRequest(f"cannot listen on tcp://{address}")


def _credentials(tls: Tls) -> grpc.ServerCredentials | None:
    """Mutual TLS when a CA is given; None when no certificate is."""
    if not tls.cert and not tls.key:
        return None
    try:
        key, certificate = Path(tls.key).read_bytes(), Path(tls.cert).read_bytes()
        ca = Path(tls.ca).read_bytes() if tls.ca else None
    except OSError as error:
        raise InvalidRequest(f"cannot read TLS files: {error}") from error
    return grpc.ssl_server_credentials([(key, certificate)], ca, ca is not None)


def passed_sockets(name: str) -> list[socket.socket]:
    """Sockets from systemd (sd_listen_fds(3)): all, one by number, or those with a name."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        raise InvalidRequest("no sockets were passed to this process by systemd")
    count = int(os.environ.get("LISTEN_FDS", "0"))
    names = os.environ.get("LISTEN_FDNAMES", "").split(":")
    fds = range(FIRST_PASSED_FD, FIRST_PASSED_FD + count)
    chosen = [
        fd
        for fd, fd_name in zip(fds, names + [""] * count, strict=False)
        if name in ("", "*", str(fd), fd_name)
    ]
    if not chosen:
        raise InvalidRequest(f"no socket fd://{name} was passed to this process")
    return [socket.socket(fileno=fd) for fd in chosen]


@asynccontextmanager
async def _relayed(server: grpc.aio.Server, passed: socket.socket) -> AsyncIterator[None]:
    """grpc can't take over a listening socket, so connections are pumped to one of its own."""
    inner = f"croze-fd-{os.getpid()}-{passed.fileno()}"
    server.add_insecure_port(f"unix-abstract:{inner}")

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back_reader, back_writer = await asyncio.open_unix_connection(f"\0{inner}")
        with contextlib.suppress(ConnectionError):
            await asyncio.gather(pump(reader, back_writer), pump(back_reader, writer))

    relay = await asyncio.start_server(connect, sock=passed)
    async with relay:
        yield
