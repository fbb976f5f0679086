"""Addresses the daemon listens on: `unix://`, `tcp://`, and `fd://` from systemd."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import ssl
import stat
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import grpc.aio

from croze.daemon.config import Grpc, Tls
from croze.errors import InvalidRequest

log = logging.getLogger(__name__)

FIRST_PASSED_FD = 3


@asynccontextmanager
async def listening(
    server: grpc.aio.Server, addresses: Sequence[str], config: Grpc, root: Path
) -> AsyncIterator[None]:
    """Bind everything; the socket files are gone afterwards. Start the server inside.

    Raises `InvalidRequest` for an address that can't be used. `root` is the daemon's own folder.
    """
    async with contextlib.AsyncExitStack() as stack:
        relays = Relays(server, root / "relay")
        stack.callback(relays.close)
        for address in addresses:
            scheme, _, rest = address.partition("://")
            if not scheme or "://" not in address:
                raise InvalidRequest(
                    f"address {address} does not contain proto, you meant unix://{address} ?"
                )
            if scheme == "unix":
                stack.enter_context(_unix(server, Path(rest), config))
            elif scheme == "tcp":
                await _tcp(server, rest, config.tls, stack, relays)
            elif scheme == "fd":
                for passed in passed_sockets(rest):
                    await stack.enter_async_context(await relays.relay(passed))
            else:
                raise InvalidRequest(f"addr {address} not supported: use unix://, tcp:// or fd://")
        yield


def _add_port(server: grpc.aio.Server, address: str) -> None:
    """Raises `InvalidRequest` when the address can't be had."""
    try:
        server.add_insecure_port(address)
    except RuntimeError as error:
        raise InvalidRequest(f"cannot listen on {address}") from error


@contextlib.contextmanager
def _unix(server: grpc.aio.Server, path: Path, config: Grpc) -> Iterator[None]:
    if config.tls.cert:
        log.warning("TLS is disabled for unix://%s", path)
    path.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
    _remove_dead(path)
    old = os.umask(0o177)
    try:
        _add_port(server, f"unix:{path}")
    finally:
        os.umask(old)
    os.chmod(path, 0o660)
    uid = os.getuid() if config.uid is None else config.uid
    os.chown(path, uid, os.getgid() if config.gid is None else config.gid)
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


async def _tcp(
    server: grpc.aio.Server,
    address: str,
    tls: Tls,
    stack: contextlib.AsyncExitStack,
    relays: Relays,
) -> None:
    context = _tls_context(tls)
    if context is None:
        log.warning(
            "TLS is not enabled for tcp://%s: whoever reaches it is root here. enabling mutual TLS "
            "authentication is highly recommended",
            address,
        )
        _add_port(server, address)
        return
    if context.verify_mode != ssl.CERT_REQUIRED:
        log.warning(
            "clients of tcp://%s are not asked for a certificate, as there is no --tlscacert: "
            "whoever reaches it is root here",
            address,
        )
    bound = _bind(address)
    stack.callback(bound.close)
    await stack.enter_async_context(await relays.relay(bound, context))


def _bind(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    try:
        return socket.create_server((host.strip("[]"), int(port)))
    except (OSError, ValueError, OverflowError) as error:
        raise InvalidRequest(f"cannot listen on tcp://{address}: {error}") from error


def _tls_context(tls: Tls) -> ssl.SSLContext | None:
    """Mutual TLS when a CA is given; None when no certificate is."""
    if not tls.cert and not tls.key:
        return None
    if not (tls.cert and tls.key):
        raise InvalidRequest("you must specify key and cert file if one is specified")
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["h2"])
        context.load_cert_chain(tls.cert, tls.key)
        if tls.ca:
            context.load_verify_locations(tls.ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except OSError as error:
        raise InvalidRequest(f"could not load server key pair: {error}") from error
    return context


def passed_sockets(name: str) -> list[socket.socket]:
    """Sockets from systemd (sd_listen_fds(3)): all, one by number, or those with a name."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        raise InvalidRequest(
            "no sockets found via socket activation: make sure the service was started by systemd"
        )
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


class Relays:
    """Connections that grpc can't take itself are pumped to a socket of its own: those of a
    listening socket that was passed to us, and TLS, where grpc's server refuses clients that
    don't name a protocol in the handshake, as buildx's remote driver doesn't.

    The inner socket is in `folder`, which is for this user alone: it skips what the outer checks.
    """

    def __init__(self, server: grpc.aio.Server, folder: Path) -> None:
        self._server = server
        self._folder = folder
        self._fd = -1

    async def relay(
        self, outer: socket.socket, context: ssl.SSLContext | None = None
    ) -> asyncio.Server:
        """A server to enter: it pumps each connection of `outer` while it is open."""

        async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            back_reader, back_writer = await asyncio.open_unix_connection(self._inner())
            async with asyncio.TaskGroup() as group:
                group.create_task(_pump(reader, back_writer))
                group.create_task(_pump(back_reader, writer))

        self._open()
        return await asyncio.start_server(connect, sock=outer, ssl=context)

    def _inner(self) -> str:
        # By the folder's descriptor: a socket's path may have no more than 107 bytes.
        return f"/proc/self/fd/{self._fd}/grpc.sock"

    def _open(self) -> None:
        if self._fd >= 0:
            return
        self._folder.mkdir(mode=0o700, exist_ok=True)
        (self._folder / "grpc.sock").unlink(missing_ok=True)
        self._fd = os.open(self._folder, os.O_PATH | os.O_CLOEXEC)
        _add_port(self._server, f"unix:{self._inner()}")

    def close(self) -> None:
        if self._fd >= 0:
            (self._folder / "grpc.sock").unlink(missing_ok=True)
            os.close(self._fd)
            self._folder.rmdir()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until either side has closed."""
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    except OSError as error:
        log.debug("a relayed connection broke: %s", error)
    finally:
        writer.close()
