"""A plain connection to a daemon's socket, with TLS where the address is told to have it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from croze.drivers.tunnel import Streams
from croze.errors import InvalidRequest, Unavailable

if TYPE_CHECKING:
    from croze.client.connect import Tls

CONNECT_TIMEOUT_S = 20.0


@asynccontextmanager
async def socket_streams(address: str, tls: Tls | None = None) -> AsyncIterator[Streams]:
    """Of `unix://…` or `tcp://…`. Raises `Unavailable` and `InvalidRequest`."""
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            reader, writer = await _opened(address, tls)
    except (OSError, TimeoutError) as error:
        reason = getattr(error, "strerror", None) or str(error) or "timed out"
        raise Unavailable(f"could not dial {address}: {reason}") from None
    try:
        yield reader, writer
    finally:
        writer.close()


async def _opened(address: str, tls: Tls | None) -> Streams:
    url = urlsplit(address)
    if url.scheme == "unix":
        return await asyncio.open_unix_connection(url.path)
    if url.scheme == "tcp":
        secure = None if tls is None else _context(tls)
        name = tls.server_name or None if tls is not None else None
        return await asyncio.open_connection(
            url.hostname, url.port, ssl=secure, server_hostname=name
        )
    raise InvalidRequest(f"address {address} must be unix:// or tcp://")


def _context(tls: Tls) -> ssl.SSLContext:
    try:
        made = ssl.create_default_context(cafile=tls.ca)
        if tls.cert is not None:
            made.load_cert_chain(tls.cert, tls.key)
    except OSError as error:
        raise InvalidRequest(f"could not read the certificates of {tls}: {error}") from None
    made.set_alpn_protocols(["h2"])
    return made
