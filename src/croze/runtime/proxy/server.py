"""The proxy of one container: plain HTTP as it comes, HTTPS with certificates of our own."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import socket
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from http import HTTPStatus

from msgspec import Struct

from croze.aio import streams
from croze.aio.threads import in_thread
from croze.errors import CrozeError, InvalidRequest, as_own
from croze.gotypes.quote import quote
from croze.http.daemon import HttpClient, OpenSocket
from croze.http.lazy import aiohttp
from croze.http.urls import join_urls
from croze.runtime.proxied import Proxied, ProxiedRequest, Uncaptured, shown
from croze.runtime.proxy.authority import ProxyAuthority
from croze.runtime.proxy.requests import HEAD_BYTES, RequestHead, body_of, is_hop_by_hop, read_head

log = logging.getLogger(__name__)

_PIECE = 64 << 10
_CONNECTIONS_MOST = 256
_HANDSHAKE_S = 30.0
_BODILESS = frozenset({204, 304})


@contextlib.asynccontextmanager
async def serving(
    listener: socket.socket,
    proxied: Proxied,
    authority: ProxyAuthority,
    open_socket: OpenSocket | None = None,
) -> AsyncIterator[None]:
    """Answer on a listening socket until the block ends; then nothing is left of it. What is asked
    goes out by the sockets that `open_socket` makes."""
    client = HttpClient(direct=True, open_socket=open_socket)
    server = _Server(proxied, authority, client)
    try:
        async with streams.serving(
            listener, server.serve, most=_CONNECTIONS_MOST, buffer_bytes=HEAD_BYTES
        ):
            yield
    finally:
        await client.close()


class _Peer(Struct, frozen=True):
    """A client and what it takes for granted: `base` is `https://host` inside of a tunnel."""

    reader: StreamReader
    writer: StreamWriter
    base: str = ""

    def url(self, head: RequestHead) -> str:
        if self.base or head.target.startswith("/"):
            return (self.base or f"http://{head.header('host')}") + head.target
        return head.target

    async def refuse(self, status: int, text: str) -> None:
        """The last answer on the connection."""
        body = f"{text}\n".encode("utf-8", "replace")
        reason = HTTPStatus(status).phrase
        head = f"HTTP/1.1 {status} {reason}\r\nContent-Type: text/plain; charset=utf-8\r\n"
        head += f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        self.writer.write(head.encode() + body)
        await self.writer.drain()


class _Server:
    def __init__(self, proxied: Proxied, authority: ProxyAuthority, client: HttpClient) -> None:
        self._rules = proxied.rules
        self._capture = proxied.capture
        self._authority = authority
        self._client = client

    async def serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        """One connection."""
        try:
            await self._speak(_Peer(reader, writer))
        except (OSError, asyncio.IncompleteReadError) as error:
            log.debug("a proxy's client has left: %s", error)

    async def _speak(self, peer: _Peer) -> None:
        try:
            while (head := await read_head(peer.reader)) is not None:
                if head.method == "CONNECT" and not peer.base:
                    peer = await self._tunnel(peer, head)
                elif not await self._answer(peer, head):
                    return
        except InvalidRequest as error:
            await peer.refuse(400, str(error))

    async def _tunnel(self, peer: _Peer, head: RequestHead) -> _Peer:
        host, _, port = head.target.rpartition(":")
        name = (host or head.target).strip("[]")
        if not name:
            raise InvalidRequest(f"no host in {quote(head.target)}")
        try:
            context = await in_thread(self._authority.context, name)
        except ValueError as error:
            raise InvalidRequest(f"no certificate can be made for {quote(name)}: {error}") from None
        # Nothing is read between these two: what the client says next is TLS.
        peer.writer.write(b"HTTP/1.1 200 Connection Established\r\n\r\n")
        await peer.writer.start_tls(context, ssl_handshake_timeout=_HANDSHAKE_S)
        return _Peer(peer.reader, peer.writer, f"https://{head.target if host else port}")

    async def _answer(self, peer: _Peer, head: RequestHead) -> bool:
        """Whether the connection goes on."""
        url, body = peer.url(head), body_of(head, peer.reader)
        if head.header("expect").lower() == "100-continue":
            peer.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        try:
            for rules in self._rules:
                url = await rules(head.method, url)
        except CrozeError as error:
            log.debug("refused by policy: %s", error)
            await peer.refuse(403, "Forbidden")
            return False
        if self._capture.is_full:
            await peer.refuse(429, "this step has asked for more than can be noted")
            return False
        try:
            response = await self._client.send(
                head.method, url, headers=head.passed_on(), body=body, redirects=False
            )
        except (OSError, ValueError, aiohttp.ClientError, TimeoutError, CrozeError) as error:
            self._note(head, url, 502)
            self._uncaptured(head, url, "upstream_error")
            await peer.refuse(502, str(as_own(error)))
            return False
        async with response:
            return await _Exchange(self, peer, head, url, response).relay()

    def _note(self, head: RequestHead, url: str, status: int, redirect: str = "") -> None:
        led = redirect
        with contextlib.suppress(InvalidRequest):  # of a server that says what leads nowhere
            led = join_urls(url, redirect) if redirect else ""
        self._capture.note(ProxiedRequest(head.method, shown(url), status, shown(led)))

    def _uncaptured(self, head: RequestHead, url: str, reason: str) -> None:
        self._capture.uncaptured.append(Uncaptured(head.method, shown(url), reason))

    def captured(self, head: RequestHead, url: str, status: int, digest: str, failed: bool) -> None:
        """Note what an answer was."""
        if reason := _reason(head, status, failed):
            self._uncaptured(head, url, reason)
        elif 200 <= status < 300:
            self._capture.materials.append((shown(url), digest))

    def noted(self, head: RequestHead, url: str, response: aiohttp.ClientResponse) -> None:
        """Note that there is an answer."""
        self._note(head, url, response.status, response.headers.get("Location", ""))


class _Exchange(Struct, frozen=True):
    server: _Server
    peer: _Peer
    head: RequestHead
    url: str
    response: aiohttp.ClientResponse

    async def relay(self) -> bool:
        """Pass the answer on; whether the connection can go on after it."""
        self.server.noted(self.head, self.url, self.response)
        framing, goes_on = self._framing()
        self.peer.writer.write(self._first_lines(framing, goes_on))
        sums, failed = hashlib.sha256(), True
        try:
            if self._has_body:
                async for piece in self.response.content.iter_chunked(_PIECE):
                    sums.update(piece)
                    self.peer.writer.write(_framed(piece, framing))
                    await self.peer.writer.drain()
                self.peer.writer.write(b"0\r\n\r\n" if framing == "chunked" else b"")
            await self.peer.writer.drain()
            failed = False
        except (aiohttp.ClientError, TimeoutError) as error:
            log.debug("%s broke off: %s", self.url, error)
            goes_on = False
        finally:
            digest = "sha256:" + sums.hexdigest()
            self.server.captured(self.head, self.url, self.response.status, digest, failed)
        return goes_on

    @property
    def _has_body(self) -> bool:
        return self.head.method != "HEAD" and self.response.status not in _BODILESS

    def _framing(self) -> tuple[str, bool]:
        if not self._has_body or "Content-Length" in self.response.headers:
            return "", not self.head.closes
        if self.head.version == "HTTP/1.0":
            return "", False  # ends with the connection
        return "chunked", not self.head.closes

    def _first_lines(self, framing: str, goes_on: bool) -> bytes:
        reason = (self.response.reason or "").encode("latin-1", "replace")
        lines = [b"HTTP/1.1 %d %s" % (self.response.status, reason)]
        for name, value in self.response.raw_headers:
            if not is_hop_by_hop(name.decode("latin-1")):
                lines.append(name + b": " + value)
        lines += [b"Transfer-Encoding: chunked"] if framing else []
        lines += [] if goes_on else [b"Connection: close"]
        return b"\r\n".join(lines) + b"\r\n\r\n"


def _framed(piece: bytes, framing: str) -> bytes:
    return b"%x\r\n%s\r\n" % (len(piece), piece) if framing else piece


def _reason(head: RequestHead, status: int, failed: bool) -> str:
    """Why an answer is no material, if it is not and should be."""
    if head.method != "GET":
        return "method_not_materializable"
    if head.header("range") or status == 206:
        return "partial_response"
    if failed:
        return "body_read_failed"
    return "unsuccessful_response" if status >= 400 else ""
