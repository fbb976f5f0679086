"""A plain connection to a daemon's socket, with TLS where the address is told to have it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from croze.drivers.tunnel import SocketStreams
from croze.errors import InvalidRequest, Unavailable
from croze.http.urls import parse_url
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
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            if url.scheme == "unix":
                return await asyncio.open_unix_connection(url.path)
            if url.scheme == "tcp":
                name = server_name or url.hostname
                return await asyncio.open_connection(
                    url.hostname,
                    url.port or port,
                    ssl=secure,
                    server_hostname=None if secure is None else name,
                )
    except UnicodeError:  # of a name that can't be one in the internet
        raise Unavailable("no such host") from None
    except (OSError, TimeoutError) as error:
        reason = getattr(error, "strerror", None) or str(error) or "timed out"
        raise Unavailable(reason) from None
    raise InvalidRequest(f"address {address} must be unix:// or tcp://")
