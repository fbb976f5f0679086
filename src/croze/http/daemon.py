"""The HTTP client of who has an event loop, the daemon above all: connections are kept, bodies are
streams, and a connection may become a WebSocket.

Made inside the event loop.
"""

from __future__ import annotations

import functools
import os
import socket
import ssl as tls
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING

from croze.errors import CrozeError
from croze.files.redact import redact
from croze.gotypes.strings import shown
from croze.http.encodings import decoded, decoders
from croze.http.lazy import aiohttp
from croze.http.redirects import MOST_REDIRECTS, Hop, RedirectRefused, check_url, next_step
from croze.http.redirects import is_redirect as leads_on
from croze.patterns import lazy_pattern

if TYPE_CHECKING:
    from aiohappyeyeballs import AddrInfoType

_ENCODED = lazy_pattern("[!-~]*")
_CALLED = lazy_pattern(r"Connect call failed \('([^']+)', (\d+)")
_PART = lazy_pattern(r"bytes [0-9]{1,19}-([0-9]{1,19})/([0-9]{1,19})")
_USER_AGENT = "buildkit/v0.31 croze"
"""Servers know BuildKit's name, and some treat it specially."""
_CONNECT_S = 30
_PROXY_S = 120
"""As Go, whose minute has no wait for a free connection in it."""
PING_EVERY_S = 50.0
"""On a WebSocket: what is between forgets connections that say nothing for a minute."""


async def read_all(answer: aiohttp.ClientResponse, limit_bytes: int, what: str) -> bytes:
    """The body of an answer, as it was before it was encoded for the way. Raises `CrozeError`,
    which says of `what`, for more than the limit, and for an encoding that it can't undo."""
    pieces, size = [], 0
    chunks = answer.content.iter_chunked(64 * 1024)
    async with aclosing(decoded(chunks, decoders(encoding_of(answer)))) as body:
        async for piece in body:
            size += len(piece)
            if size > limit_bytes:
                raise CrozeError(f"{what} has more than {limit_bytes} bytes")
            pieces.append(piece)
    return b"".join(pieces)


def encoding_of(answer: aiohttp.ClientResponse) -> str:
    """How the body of an answer comes that nobody has decoded yet."""
    return answer.headers.get("Content-Encoding", "")


def is_all_of(answer: aiohttp.ClientResponse) -> bool:
    """Whether what has come of an answer, and did not break off, is all there is: the body says
    where it ends, and nothing comes after it (RFC 9110, section 14.4: servers may send less of a
    range than was asked for)."""
    if answer.status == 206:
        part = _PART.fullmatch(answer.headers.get("Content-Range", ""))
        if part is None or int(part[1]) + 1 != int(part[2]):
            return False
    chunked = "chunked" in answer.headers.get("Transfer-Encoding", "").lower()
    return chunked or "Content-Length" in answer.headers


def dialed(error: aiohttp.ClientConnectorError) -> str:
    """Where nobody has answered, as Go has it: the first address of a name."""
    address = _CALLED.search(str(error.os_error))
    host, port = (address[1], address[2]) if address else (error.host, str(error.port))
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def reason(error: Exception) -> str:
    """Why there is no answer, in Go's words in place of aiohttp's."""
    from aiohttp.client_exceptions import UnixClientConnectorError

    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return str(error.certificate_error)
    if isinstance(error, aiohttp.ClientConnectorError):
        cause = error.os_error
        number = cause.errno or 0
        why = (os.strerror(number) if number > 0 else str(cause.strerror or cause)).lower()
        if isinstance(error, UnixClientConnectorError):
            return f"dial unix {error.path}: connect: {why}"
        if isinstance(error, aiohttp.ClientConnectorDNSError):
            return f"dial tcp: lookup {error.host}: {why}"
        return f"dial tcp {dialed(error)}: connect: {why}"
    return str(error) or type(error).__name__


@functools.cache
def _answer_class() -> type[aiohttp.ClientResponse]:
    """Answers whose first lines are text: a server may write any bytes there, of which aiohttp
    makes halves of characters, which go into no message, file or request."""
    from multidict import CIMultiDict, CIMultiDictProxy

    class Answer(aiohttp.ClientResponse):
        async def start(self, connection: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
            await super().start(connection)
            self.reason = shown(self.reason or "")
            if not all(value.isascii() for value in self._headers.values()):
                pairs = ((name, shown(value)) for name, value in self._headers.items())
                self._headers = CIMultiDictProxy(CIMultiDict(pairs))
                self._cache.pop("headers", None)  # somebody has asked for them already
            return self

    return Answer


Body = AsyncIterator[bytes] | bytes | Mapping[str, str] | None
"""A mapping is a form."""
OpenSocket = Callable[["AddrInfoType"], socket.socket]
"""A socket for an address, as `socket.getaddrinfo` tells of it. Raises `OSError`."""


def _opening(open_socket: OpenSocket | None, taken_s: float | None) -> OpenSocket | None:
    """How sockets are made: those of a server that has taken nothing for that long are broken by
    the system, which knows of each byte (tcp(7), `TCP_USER_TIMEOUT`)."""
    if taken_s is None or sys.platform != "linux":
        return open_socket

    def opened(address: AddrInfoType) -> socket.socket:
        sock = open_socket(address) if open_socket else socket.socket(*address[:3])
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(taken_s * 1000))
        return sock

    return opened


class HttpClient:
    """Close it at the end. Requests raise `aiohttp.ClientError`, `OSError`, and `RedirectRefused`
    for addresses that are not of the web."""

    def __init__(
        self,
        *,
        accept_encoding: str = "identity",
        total_s: float | None = None,
        read_s: float = 120,
        taken_s: float | None = None,
        proxied_s: float = _PROXY_S,
        per_host: int = 0,
        unix_socket: str = "",
        proxy: str | None = None,
        direct: bool = False,
        open_socket: OpenSocket | None = None,
    ) -> None:
        """`read_s` is how long nothing may come, `taken_s` how long a server may take nothing of
        what it is sent, `proxied_s` how long a proxy may take to open a way. What comes encoded is
        decoded if that was asked for. `per_host` limits connections; 0 is no limit. With a
        `unix_socket` that is where all hosts are; `proxy` comes before the environment's, and with
        `direct` there is none. `open_socket` makes the sockets, in a network other than the
        daemon's."""
        self._proxy = proxy
        self._direct = direct or bool(unix_socket)
        self._directly = aiohttp.ClientTimeout(
            total=total_s, sock_connect=_CONNECT_S, sock_read=read_s
        )
        # A proxy that is asked for a way through is nobody who is read from.
        self._by_proxy = aiohttp.ClientTimeout(
            total=total_s, connect=proxied_s, sock_connect=_CONNECT_S, sock_read=read_s
        )
        self._session = aiohttp.ClientSession(  # noqa: TID251 - trusts nothing
            connector=aiohttp.UnixConnector(unix_socket, limit=0)
            if unix_socket
            else aiohttp.TCPConnector(
                limit=0,
                limit_per_host=per_host,
                keepalive_timeout=60,
                socket_factory=_opening(open_socket, taken_s),
            ),
            timeout=self._directly,
            headers={"User-Agent": _USER_AGENT, "Accept-Encoding": accept_encoding},
            auto_decompress=accept_encoding != "identity",
            # Nothing of the machine's own goes along with what is asked for a client: aiohttp's
            # "trust" would add passwords from ~/.netrc, a jar what other builds were told.
            trust_env=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            response_class=_answer_class(),
        )

    async def close(self) -> None:
        """Close all connections. Idempotent."""
        await self._session.close()

    async def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Body = None,
        ssl: tls.SSLContext | bool = True,
        server_name: str = "",
        redirects: bool = True,
    ) -> aiohttp.ClientResponse:
        """The answer, to be entered or released. `server_name` is whose certificate is expected if
        not the host's. Credentials in the URL count where the headers have none. A body that is a
        stream is sent once: no redirect is followed with it."""
        step = Hop(method, url, dict(headers or {}), body is not None)
        for _ in range(MOST_REDIRECTS + 1):
            response = await self._once(step, body if step.has_body else None, ssl, server_name)
            location = response.headers.get("Location", "")
            if not redirects or not leads_on(response.status, location):
                return response
            try:
                step = next_step(step, response.status, location, may_downgrade=True)
            finally:
                response.release()
        raise RedirectRefused(f"stopped after {MOST_REDIRECTS} redirects")

    async def _once(
        self, step: Hop, body: Body, ssl: tls.SSLContext | bool, server_name: str
    ) -> aiohttp.ClientResponse:
        from yarl import URL

        check_url(step.url)
        # What is encoded already may be signed as it is.
        try:
            url = URL(step.url, encoded=_ENCODED.fullmatch(step.url) is not None)
        except ValueError as error:
            raise RedirectRefused(f'parse "{redact(step.url)}": {error}') from None
        if any(name.lower() == "authorization" for name in step.headers):
            url = url.with_user(None)
        proxy = self._proxy_for(step.url)
        return await self._session.request(
            step.method,
            url,
            headers=step.headers,
            data=body,
            ssl=ssl,
            server_hostname=server_name or None,
            proxy=proxy,
            timeout=self._by_proxy if proxy else self._directly,
            allow_redirects=False,
        )

    def _proxy_for(self, url: str) -> str | None:
        from croze.http.proxies import proxy_for

        return None if self._direct else self._proxy or proxy_for(url)

    async def websocket(
        self,
        url: str,
        protocols: Sequence[str],
        *,
        headers: Mapping[str, str] | None = None,
        ssl: tls.SSLContext | bool = True,
        server_name: str = "",
    ) -> aiohttp.ClientWebSocketResponse:
        """A connection that speaks one of the protocols (RFC 6455), to be closed. Raises
        `aiohttp.WSServerHandshakeError` for a server that answers something else."""
        check_url(url)
        return await self._session.ws_connect(
            url,
            method="GET",
            protocols=protocols,
            headers=dict(headers or {}),
            ssl=ssl,
            server_hostname=server_name or None,
            proxy=self._proxy_for(url),
            max_msg_size=0,
            autoclose=False,
            heartbeat=PING_EVERY_S,
        )
