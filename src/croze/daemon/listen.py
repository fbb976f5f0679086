"""Addresses the daemon listens on: `unix://`, `tcp://`, and `fd://` from systemd."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import ssl
import stat
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import grpc.aio

from croze.aio.streams import serving
from croze.daemon.config import Grpc
from croze.daemon.inner import InnerPort, add_port
from croze.daemon.sockets import (
    bind_tcp,
    make_way,
    passed_sockets,
    split_host,
    tls_context,
    warn_of_strangers,
)
from croze.errors import InvalidRequest
from croze.rpc.channels import most_connections
from croze.session.manager import Sessions

if TYPE_CHECKING:
    from croze.daemon.relay import Relay

log = logging.getLogger(__name__)


@asynccontextmanager
async def listening(
    server: grpc.aio.Server,
    addresses: Sequence[str],
    config: Grpc,
    inner: InnerPort,
    sessions: Sessions,
) -> AsyncIterator[Relays]:
    """Bind everything; the socket files are gone afterwards. Start the server inside.

    Raises `InvalidRequest` for an address that can't be used.
    """
    context = tls_context(config.tls)
    async with contextlib.AsyncExitStack() as stack:
        relays = Relays(inner, sessions)
        for address in addresses:
            scheme, _, rest = address.partition("://")
            if not scheme or "://" not in address:
                raise InvalidRequest(
                    f"address {address} does not contain proto, you meant unix://{address} ?"
                )
            if scheme == "unix":
                await _unix(Path(rest), config, stack, relays)
            elif scheme == "tcp":
                await _tcp(server, rest, context, stack, relays)
            elif scheme == "fd":
                await _passed(rest, context, stack, relays)
            else:
                raise InvalidRequest(f"addr {address} not supported: use unix://, tcp:// or fd://")
        yield relays


async def _unix(path: Path, config: Grpc, stack: contextlib.AsyncExitStack, relays: Relays) -> None:
    if config.tls.cert:
        log.warning("TLS is disabled for unix://%s", path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    stack.callback(sock.close)

    def bind() -> None:
        try:
            sock.bind(str(path))
            sock.listen()
        except OSError as error:
            raise InvalidRequest(f"cannot listen on unix:{path}: {error}") from error

    stack.enter_context(own_socket(path, config, bind, "--addr"))
    await stack.enter_async_context(relays.relay(sock))


@contextlib.contextmanager
def own_socket(path: Path, config: Grpc, bind: Callable[[], None], flag: str) -> Iterator[None]:
    """A socket file of ours, made by `bind`, for the user and the group of the configuration. It is
    gone afterwards. Raises `InvalidRequest`, which tells of the flag that names the place."""
    try:
        make_way(path.parent)
        _remove_dead(path)
    except OSError as error:
        raise InvalidRequest(_no_place(path, error, flag)) from error
    old = os.umask(0o177)
    try:
        bind()
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


def _no_place(path: Path, error: OSError, flag: str) -> str:
    reason = (error.strerror or str(error)).lower()
    unset = isinstance(error, PermissionError) and not os.environ.get("XDG_RUNTIME_DIR")
    advice = "set XDG_RUNTIME_DIR, or name another" if unset else "name another"
    return f"cannot listen at unix://{path}: {reason}: {advice} address with {flag}"


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
    context: ssl.SSLContext | None,
    stack: contextlib.AsyncExitStack,
    relays: Relays,
) -> None:
    warn_of_strangers(f"tcp://{address}", context)
    host, port = split_host(address)
    if context is None and host != "0.0.0.0":
        add_port(server, f"[{host or '::'}]:{port}" if ":" in host or not host else address)
        return
    # grpc takes 0.0.0.0 for every address, those of IPv6, too.
    bound = bind_tcp(address)
    await stack.enter_async_context(relays.relay(bound, context))


async def _passed(
    name: str,
    context: ssl.SSLContext | None,
    stack: contextlib.AsyncExitStack,
    relays: Relays,
) -> None:
    for passed in passed_sockets(name):
        secured = context
        if passed.family == socket.AF_UNIX:
            secured = None
        else:
            warn_of_strangers(f"fd://{name}", context)
        await stack.enter_async_context(relays.relay(passed, secured))


class Relays:
    """Connections that grpc does not take itself, but on its inner port: those of a Unix socket,
    for the sake of their sessions; those of a listening socket that was passed to us; and TLS,
    where grpc's server refuses clients that don't name a protocol in the handshake, as buildx's
    remote driver doesn't."""

    def __init__(self, inner: InnerPort, sessions: Sessions) -> None:
        self._inner = inner
        self._sessions = sessions
        self._listeners: list[socket.socket] = []
        self._open: set[Relay] = set()

    def relay(
        self, outer: socket.socket, context: ssl.SSLContext | None = None
    ) -> AbstractAsyncContextManager[None]:
        """Inside, each connection of `outer` is passed on while it is open."""

        async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            from croze.daemon.relay import BUFFER_BYTES, Relay

            back = await asyncio.open_unix_connection(self._inner.path, limit=BUFFER_BYTES)
            relay = Relay((reader, writer), back, self._sessions)
            self._open.add(relay)
            try:
                await relay.run()
            finally:
                self._open.discard(relay)

        self._inner.open()
        self._listeners.append(outer)
        # Each takes three descriptors: its own, and both ends of the way to the inner port.
        return serving(
            outer, connect, most=most_connections() // 3, tls=context, buffer_bytes=1 << 18
        )

    def hang_up(self) -> None:
        """Every connection breaks, whatever is still to be said on it."""
        for relay in tuple(self._open):
            relay.abort()

    def refuse(self) -> None:
        """Who comes now is refused, as if nobody listened."""
        for each in self._listeners:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
