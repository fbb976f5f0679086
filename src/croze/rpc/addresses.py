"""Connections to where daemons listen: `unix:PATH` or `unix://PATH`, `unix-abstract:NAME`,
`tcp://HOST:PORT`."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Callable
from typing import Final, TypeVar

from croze.aio.streams import kept_alive
from croze.http.urls import parse_url
from croze.rpc.tls import Secure

CONNECT_S: Final = 20.0
_FULL_S: Final = 0.02
"""Between attempts on a Unix socket that has as many waiting as it takes."""

P = TypeVar("P", bound=asyncio.Protocol)


class NotConnected(Exception):
    """There is no connection; why, in lower case."""


def not_connected(address: str) -> str:
    """How an account of a connection that never came about begins."""
    return f"failed to connect to {address}: "


def authority(address: str, secure: Secure | None) -> str:
    """Whom calls to an address are for."""
    if secure is not None and secure.server_name:
        return secure.server_name
    return parse_url(address).netloc if address.startswith("tcp:") else "localhost"


async def connect(address: str, secure: Secure | None, protocol: Callable[[], P]) -> P:
    """The protocol, once it has its connection. Raises `NotConnected`."""
    try:
        async with asyncio.timeout(CONNECT_S):
            if address.startswith("tcp:"):
                return await _tcp(address, secure, protocol)
            return await _unix(address, protocol)
    except TimeoutError:
        raise NotConnected("timed out") from None
    except UnicodeError:  # of a name that can't be one in the internet
        raise NotConnected("no such host") from None
    except OSError as error:
        raise NotConnected(_reason(error)) from None


async def _unix(address: str, protocol: Callable[[], P]) -> P:
    scheme, _, path = address.partition(":")
    name = f"\0{path}" if scheme == "unix-abstract" else path.removeprefix("//")
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        sock.setblocking(False)
        while True:
            try:
                sock.connect(name)
                break
            except BlockingIOError:  # asyncio would take it for a connection under way
                await asyncio.sleep(_FULL_S)
        _, connected = await asyncio.get_running_loop().create_unix_connection(protocol, sock=sock)
    except BaseException:
        sock.close()
        raise
    return connected


async def _tcp(address: str, secure: Secure | None, protocol: Callable[[], P]) -> P:
    url = parse_url(address)
    if url.port is None or url.hostname is None:
        raise NotConnected("missing port in address")
    transport, connected = await asyncio.get_running_loop().create_connection(
        protocol,
        url.hostname,
        url.port,
        ssl=None if secure is None else secure.context,
        server_hostname=None if secure is None else secure.server_name or url.hostname,
    )
    kept_alive(transport.get_extra_info("socket"))
    return connected


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        told = error.reason or str(error)
        if isinstance(error, ssl.SSLCertVerificationError):
            told = f"certificate verify failed: {error.verify_message}"
    elif error.errno is not None and error.errno > 0:
        told = os.strerror(error.errno)  # asyncio's own words have the address in them
    else:
        told = error.strerror or str(error) or "no connection"
    return told.lower()
