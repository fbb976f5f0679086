"""A plain connection to a daemon's socket, with TLS where the address is told to have it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from croze.aio.dialling import dialled, reason
from croze.drivers.tunnel import SocketStreams
from croze.errors import InvalidRequest, Unavailable
from croze.http.urls import parse_url
from croze.rpc.addresses import LOCALHOST
from croze.rpc.tls import Tls, secure

CONNECT_TIMEOUT_S = 20.0


@asynccontextmanager
async def socket_streams(address: str, tls: Tls | None = None) -> AsyncIterator[SocketStreams]:
    """A connection to `unix://…` or `tcp://…`. Raises `Unavailable` and `InvalidRequest`."""
    context, name = (None, "") if tls is None else (secure(tls).context, tls.server_name)
    try:
        reader, writer = await open_socket(address, context, server_name=name)
    except Unavailable as error:
        raise Unavailable(f"could not dial {address}: {error}") from None
    try:
        yield reader, writer
    finally:
        writer.close()


async def open_socket(
    address: str, secure: ssl.SSLContext | None, *, port: int = 0, server_name: str = ""
) -> SocketStreams:
    """A connection to `unix://…` or `tcp://…` (`port` where the address names none). Raises
    `Unavailable` with the reason alone, and `InvalidRequest` for another kind of address."""
    url = parse_url(address)
    host = url.hostname or ""
    name = None if secure is None else server_name or host or LOCALHOST
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            if url.scheme == "unix":
                return await asyncio.open_unix_connection(
                    url.path, ssl=secure, server_hostname=name
                )
            if url.scheme == "tcp":
                sock = await dialled(host.replace("%25", "%"), url.port or port)
                try:
                    return await asyncio.open_connection(
                        sock=sock, ssl=secure, server_hostname=name
                    )
                except BaseException:
                    sock.close()
                    raise
    except UnicodeError:  # of a name that can't be one in the internet
        raise Unavailable("no such host") from None
    except TimeoutError:
        raise Unavailable("timed out") from None
    except OSError as error:
        raise Unavailable(reason(error)) from None
    raise InvalidRequest(f"address {address} must be unix:// or tcp://")
