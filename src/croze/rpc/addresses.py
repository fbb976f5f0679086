"""Connections to where daemons listen: `unix:PATH` or `unix://PATH`, `unix-abstract:NAME`,
`tcp://HOST:PORT`."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Final, TypeVar

from croze.aio.dialling import dialled, reason
from croze.aio.streams import kept_alive
from croze.http.urls import parse_url
from croze.rpc.tls import Secure

CONNECT_S: Final = 20.0
LOCALHOST: Final = "localhost"
_FULL_S: Final = 0.02
"""Between attempts on a Unix socket that has as many waiting as it takes."""

P = TypeVar("P", bound=asyncio.Protocol)


class NotConnected(Exception):
    """A connection that could not be made; the message says why, in lower case."""


def not_connected(address: str) -> str:
    """The beginning of the message about a connection that never came about."""
    return f"failed to connect to {address}: "


def authority(address: str, secure: Secure | None) -> str:
    """Whom calls to an address are for: proxies choose by it. With TLS it is whose certificate is
    expected, as with buildctl and buildx, and there is no port."""
    url = parse_url(address) if address.startswith("tcp:") else None
    if secure is not None and secure.server_name:
        return secure.server_name
    if url is None:
        return LOCALHOST
    return url.netloc if secure is None else url.hostname or url.netloc


async def connect(address: str, secure: Secure | None, protocol: Callable[[], P]) -> P:
    """The protocol, once it has its connection. Raises `NotConnected`."""
    try:
        async with asyncio.timeout(CONNECT_S):
            sock, name = await (_tcp if address.startswith("tcp:") else _unix)(address)
            try:
                _, connected = await asyncio.get_running_loop().create_connection(
                    protocol,
                    sock=sock,
                    ssl=None if secure is None else secure.context,
                    server_hostname=None if secure is None else secure.server_name or name,
                )
            except BaseException:
                sock.close()
                raise
            return connected
    except TimeoutError:
        raise NotConnected("timed out") from None
    except UnicodeError:  # of a name that can't be one in the internet
        raise NotConnected("no such host") from None
    except OSError as error:
        raise NotConnected(reason(error)) from None


async def _unix(address: str) -> tuple[socket.socket, str]:
    """A connected socket, and whom it leads to."""
    scheme, _, path = address.partition(":")
    name = f"\0{path}" if scheme == "unix-abstract" else path.removeprefix("//")
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        sock.setblocking(False)
        while True:
            try:
                sock.connect(name)
                return sock, LOCALHOST
            except BlockingIOError:  # asyncio would take it for a connection under way
                await asyncio.sleep(_FULL_S)
    except BaseException:
        sock.close()
        raise


async def _tcp(address: str) -> tuple[socket.socket, str]:
    url = parse_url(address)
    if url.port is None or url.hostname is None:
        raise NotConnected("missing port in address")
    sock = await dialled(url.hostname.replace("%25", "%"), url.port)
    return kept_alive(sock), url.hostname
