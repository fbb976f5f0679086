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

from croze.daemon.config import Grpc
from croze.daemon.sockets import (
    bind_tcp,
    make_way,
    passed_sockets,
    split_host,
    tls_context,
    warn_of_strangers,
)
from croze.errors import InvalidRequest

log = logging.getLogger(__name__)


@asynccontextmanager
async def listening(
    server: grpc.aio.Server, addresses: Sequence[str], config: Grpc, root: Path
) -> AsyncIterator[None]:
    """Bind everything; the socket files are gone afterwards. Start the server inside.

    Raises `InvalidRequest` for an address that can't be used. `root` is the daemon's own folder.
    """
    context = tls_context(config.tls)
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
                await _tcp(server, rest, context, stack, relays)
            elif scheme == "fd":
                await _passed(rest, context, stack, relays)
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
    try:
        make_way(path.parent)
        _remove_dead(path)
    except OSError as error:
        raise InvalidRequest(_no_place(path, error)) from error
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


def _no_place(path: Path, error: OSError) -> str:
    reason = (error.strerror or str(error)).lower()
    unset = isinstance(error, PermissionError) and not os.environ.get("XDG_RUNTIME_DIR")
    advice = "set XDG_RUNTIME_DIR, or name another" if unset else "name another"
    return f"cannot listen at unix://{path}: {reason}: {advice} address with --addr"


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
        _add_port(server, f"[{host or '::'}]:{port}" if ":" in host or not host else address)
        return
    # grpc takes 0.0.0.0 for every address, those of IPv6, too.
    bound = bind_tcp(address)
    stack.callback(bound.close)
    await stack.enter_async_context(await relays.relay(bound, context))


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
        await stack.enter_async_context(await relays.relay(passed, secured))


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
