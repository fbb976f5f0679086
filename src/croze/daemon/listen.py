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

log = logging.getLogger(__name__)


@asynccontextmanager
async def listening(
    server: grpc.aio.Server, addresses: Sequence[str], config: Grpc, inner: InnerPort
) -> AsyncIterator[None]:
    """Bind everything; the socket files are gone afterwards. Start the server inside.

    Raises `InvalidRequest` for an address that can't be used.
    """
    context = tls_context(config.tls)
    async with contextlib.AsyncExitStack() as stack:
        relays = Relays(inner)
        for address in addresses:
            scheme, _, rest = address.partition("://")
            if not scheme or "://" not in address:
                raise InvalidRequest(
                    f"address {address} does not contain proto, you meant unix://{address} ?"
                )
            if scheme == "unix":
                stack.enter_context(_unix(server, Path(rest), config))
            elif scheme == "tcp":
                await _tcp(server, rest, context, stack, relays)
            elif scheme == "fd":
                await _passed(rest, context, stack, relays)
            else:
                raise InvalidRequest(f"addr {address} not supported: use unix://, tcp:// or fd://")
        yield


@contextlib.contextmanager
def _unix(server: grpc.aio.Server, path: Path, config: Grpc) -> Iterator[None]:
    if config.tls.cert:
        log.warning("TLS is disabled for unix://%s", path)
    with own_socket(path, config, lambda: add_port(server, f"unix:{path}"), "--addr"):
        yield


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
    """Connections that grpc can't take itself are pumped to its inner port: those of a listening
    socket that was passed to us, and TLS, where grpc's server refuses clients that don't name a
    protocol in the handshake, as buildx's remote driver doesn't."""

    def __init__(self, inner: InnerPort) -> None:
        self._inner = inner

    def relay(
        self, outer: socket.socket, context: ssl.SSLContext | None = None
    ) -> AbstractAsyncContextManager[None]:
        """Inside, each connection of `outer` is pumped while it is open."""

        async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            back_reader, back_writer = await asyncio.open_unix_connection(self._inner.path)
            async with asyncio.TaskGroup() as group:
                group.create_task(_pump(reader, back_writer))
                group.create_task(_pump(back_reader, writer))

        self._inner.open()
        return serving(outer, connect, most=most_connections() // 4, tls=context)


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
