"""Addresses the daemon listens on: `unix://`, `tcp://`, and `fd://` from systemd."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import ssl
import stat
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from croze.aio.streams import READ_BYTES, on_sockets, serving
from croze.daemon.config.toml import Grpc
from croze.daemon.host.sockets import (
    bind_tcp,
    make_way,
    passed_sockets,
    tls_context,
    warn_of_strangers,
)
from croze.errors import InvalidRequest, os_message, os_reason
from croze.rpc.limits import most_connections
from croze.rpc.server import Server

log = logging.getLogger(__name__)


@asynccontextmanager
async def listening(
    server: Server, addresses: Sequence[str], config: Grpc
) -> AsyncIterator[Listeners]:
    """Bind everything, and serve on it; the socket files are gone afterwards.

    Raises `InvalidRequest` for an address that can't be used.
    """
    context = tls_context(config.tls)
    async with contextlib.AsyncExitStack() as stack:
        listeners = Listeners(server)
        for address in addresses:
            scheme, _, rest = address.partition("://")
            if not scheme or "://" not in address:
                raise InvalidRequest(
                    f"address {address} does not contain proto, you meant unix://{address} ?"
                )
            if scheme == "unix":
                await _unix(Path(rest), config, stack, listeners)
            elif scheme == "tcp":
                await _tcp(rest, context, stack, listeners)
            elif scheme == "fd":
                await _passed(rest, context, stack, listeners)
            else:
                raise InvalidRequest(f"addr {address} not supported: use unix://, tcp:// or fd://")
        yield listeners


async def _unix(
    path: Path, config: Grpc, stack: contextlib.AsyncExitStack, listeners: Listeners
) -> None:
    if config.tls.cert:
        log.warning("TLS is disabled for unix://%s", path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    stack.callback(sock.close)

    def bind() -> None:
        try:
            sock.bind(str(path))
            sock.listen()
        except OSError as error:
            raise InvalidRequest(f"cannot listen on unix:{path}: {os_message(error)}") from error

    stack.enter_context(own_socket(path, config, bind, "--addr"))
    await stack.enter_async_context(listeners.serving(sock))


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
    reason = os_reason(error)
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
    address: str,
    context: ssl.SSLContext | None,
    stack: contextlib.AsyncExitStack,
    listeners: Listeners,
) -> None:
    warn_of_strangers(f"tcp://{address}", context)
    await stack.enter_async_context(listeners.serving(bind_tcp(address), context))


async def _passed(
    name: str,
    context: ssl.SSLContext | None,
    stack: contextlib.AsyncExitStack,
    listeners: Listeners,
) -> None:
    for passed in passed_sockets(name):
        secured = context
        if passed.family == socket.AF_UNIX:
            secured = None
        else:
            warn_of_strangers(f"fd://{name}", context)
        await stack.enter_async_context(listeners.serving(passed, secured))


class Listeners:
    """The sockets on which the server is served."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._sockets: list[socket.socket] = []

    def serving(
        self, listener: socket.socket, context: ssl.SSLContext | None = None
    ) -> AbstractAsyncContextManager[None]:
        """Serve whoever connects while inside."""
        self._sockets.append(listener)
        return serving(
            listener,
            on_sockets(self._server.serve),
            most=most_connections(),
            tls=context,
            buffer_bytes=READ_BYTES,
        )

    def refuse(self) -> None:
        """Refuse who comes from now on, as if nobody listened."""
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
