"""The proxy of one container: what it passes on, what it refuses, and what it notes."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import ssl
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from croze.errors import PermissionDenied
from croze.runtime.oci_spec import Namespace
from croze.runtime.proxied import (
    URL_BYTES_MOST,
    Proxied,
    ProxiedRequest,
    ProxyCapture,
    Rules,
    Uncaptured,
    shown,
)
from croze.runtime.proxy.authority import ProxyAuthority
from croze.runtime.proxy.network import sockets_of
from croze.runtime.proxy.server import serving
from croze.runtime.proxy.trust import BUNDLES, Trust
from tests.support.web_server import answering

BIG = bytes(range(256)) * 1024
MOVED = {"/moved": "/big", "/astray": "http://["}


class Web(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(*{"/big": (200, BIG), "/lost": (404, b"no\n")}.get(self.path, (200, b"hi\n")))

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length")
        body = self.rfile.read(int(length)) if length else self._chunks()
        self._answer(200, b"got " + body)

    def _chunks(self) -> bytes:
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _answer(self, status: int, body: bytes) -> None:
        if self.path in MOVED:
            self.send_response(302)
            self.send_header("Location", MOVED[self.path])
            body = b""
        else:
            self.send_response(status)
        if self.path != "/endless":
            self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Seen", ",".join(sorted(k.lower() for k in self.headers)))
        self.send_header("Keep-Alive", "timeout=5")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.close_connection = self.path == "/endless"

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def web() -> Iterator[str]:
    with answering(Web) as url:
        yield url


@pytest.fixture(scope="module")
def authority() -> ProxyAuthority:
    return ProxyAuthority()


@asynccontextmanager
async def proxy(
    authority: ProxyAuthority, *rules: Rules, outside: Namespace | None = None
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter, ProxyCapture]]:
    """One connection to a proxy, and what it notes."""
    listener = socket.create_server(("127.0.0.1", 0))
    proxied = Proxied(rules)
    async with serving(listener, proxied, authority, sockets_of(outside or Namespace())):
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        try:
            yield reader, writer, proxied.capture
        finally:
            writer.close()


async def said(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes
) -> tuple[str, dict[str, str], bytes]:
    """The answer's first line, headers and body."""
    writer.write(request)
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
    headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines)}
    if "content-length" in headers:
        head = request.startswith(b"HEAD")
        return (
            first,
            headers,
            await reader.readexactly(0 if head else int(headers["content-length"])),
        )
    body = b""
    if headers.get("transfer-encoding") == "chunked":
        while size := int(await reader.readuntil(b"\r\n"), 16):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readexactly(2)
    return first, headers, body


def get(url: str, method: str = "GET", *headers: str, version: str = "1.1") -> bytes:
    lines = [f"{method} {url} HTTP/{version}", "Host: other.example", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


async def test_a_network_with_nothing_in_it(web: str, authority: ProxyAuthority) -> None:
    """As of a worker whose `networkMode` is `none`."""
    outside = Namespace(host=False)
    async with proxy(authority, outside=outside) as (reader, writer, capture):
        first, _, body = await said(reader, writer, get(f"{web}/big"))
    assert first == "HTTP/1.1 502 Bad Gateway"
    assert b"network is unreachable" in body
    assert [each.status for each in capture.requests] == [502]


async def test_what_is_asked_is_answered_and_noted(web: str, authority: ProxyAuthority) -> None:
    async with proxy(authority) as (reader, writer, capture):
        secret = web.replace("//", "//me:secret@")
        first, headers, body = await said(reader, writer, get(f"{secret}/big"))
        assert (first, body) == ("HTTP/1.1 200 OK", BIG)
        assert "keep-alive" not in headers
        asked = get(f"{web}/x", "GET", "Proxy-Authorization: a", "Accept-Encoding: gzip", "X-A: b")
        _, headers, body = await said(reader, writer, asked)
        assert body == b"hi\n"
        seen = set(headers["x-seen"].split(","))
        assert "x-a" in seen
        assert not seen & {"proxy-authorization", "connection"}
        first, _, body = await said(reader, writer, get(f"{web}/big", "HEAD"))
        assert (first, body) == ("HTTP/1.1 200 OK", b"")
        sized = get(f"{web}/p", "POST", "Content-Length: 3") + b"abc"
        assert (await said(reader, writer, sized))[2] == b"got abc"
        chunked = get(f"{web}/p", "POST", "Transfer-Encoding: chunked") + b"2\r\nab\r\n0\r\n\r\n"
        assert (await said(reader, writer, chunked))[2] == b"got ab"
        assert (await said(reader, writer, get(f"{web}/endless")))[2] == b"hi\n"
        assert (await said(reader, writer, get(f"{web}/lost")))[0] == "HTTP/1.1 404 Not Found"
        await said(reader, writer, get(f"{web}/big", "GET", "Range: bytes=0-1"))
        _, headers, _ = await said(reader, writer, get(f"{web}/moved"))
        assert headers["location"] == "/big"
        assert (await said(reader, writer, get(f"{web}/astray")))[1]["location"] == "http://["
    masked = web.replace("//", "//xxxxx:xxxxx@")
    assert capture.requests[0] == ProxiedRequest("GET", f"{masked}/big", 200)
    assert capture.requests[-2:] == [
        ProxiedRequest("GET", f"{web}/moved", 302, f"{web}/big"),
        ProxiedRequest("GET", f"{web}/astray", 302, "http://["),
    ]
    assert capture.materials == [
        (f"{masked}/big", digest(BIG)),
        (f"{web}/x", digest(b"hi\n")),
        (f"{web}/endless", digest(b"hi\n")),
    ]
    assert [(each.method, each.reason) for each in capture.uncaptured] == [
        ("HEAD", "method_not_materializable"),
        ("POST", "method_not_materializable"),
        ("POST", "method_not_materializable"),
        ("GET", "unsuccessful_response"),
        ("GET", "partial_response"),
    ]
    assert f"\n- POST {web}/p -> 200\n" in capture.log()


async def test_a_body_that_waits_to_be_asked_for(web: str, authority: ProxyAuthority) -> None:
    async with proxy(authority) as (reader, writer, _):
        writer.write(get(f"{web}/p", "POST", "Content-Length: 3", "Expect: 100-continue"))
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        _, headers, body = await said(reader, writer, b"abc")
        assert body == b"got abc"
        assert "expect" not in headers["x-seen"].split(",")


async def test_tls_is_answered_by_our_own_authority(web: str, authority: ProxyAuthority) -> None:
    asked: list[tuple[str, str]] = []

    async def rules(method: str, url: str) -> str:
        asked.append((method, url))
        return url.replace("https://secure.example:443", web)

    async with proxy(authority, rules) as (reader, writer, capture):
        writer.write(b"CONNECT secure.example:443 HTTP/1.1\r\nHost: secure.example:443\r\n\r\n")
        assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
        trusted = ssl.create_default_context(cadata=authority.pem.decode())
        await writer.start_tls(trusted, server_hostname="secure.example")
        for _ in range(2):
            assert (await said(reader, writer, get("/big")))[2] == BIG
    assert asked == [("GET", "https://secure.example:443/big")] * 2
    assert capture.materials == [(f"{web}/big", digest(BIG))] * 2


async def test_what_policies_refuse_is_forbidden(web: str, authority: ProxyAuthority) -> None:
    async def rules(method: str, url: str) -> str:
        raise PermissionDenied("no")

    async with proxy(authority, rules) as (reader, writer, capture):
        first, _, body = await said(reader, writer, get(f"{web}/x"))
        assert (first, body) == ("HTTP/1.1 403 Forbidden", b"Forbidden\n")
        assert await reader.read() == b""
    assert capture == ProxyCapture()


async def test_a_server_that_is_not_there(authority: ProxyAuthority) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/x"
    async with proxy(authority) as (reader, writer, capture):
        assert (await said(reader, writer, get(url)))[0] == "HTTP/1.1 502 Bad Gateway"
    assert capture.requests == [ProxiedRequest("GET", url, 502)]
    assert capture.uncaptured == [Uncaptured("GET", url, "upstream_error")]


@pytest.mark.parametrize(
    "request_",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET http://x/ HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET http://x/ HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET http://x/ HTTP/1.1\r\nContent-Length: \xb2\r\n\r\n",
        b"GET http://x/ HTTP/1.1\r\nContent-Length: " + b"1" * 5000 + b"\r\n\r\n",
        b"CONNECT \xff.example:443 HTTP/1.1\r\n\r\n",
        b"CONNECT [] HTTP/1.1\r\n\r\n",
        b"GET http://x/ HTTP/1.1\r\nX: " + b"y" * (65 << 10) + b"\r\n\r\n",
    ],
)
async def test_nonsense_is_refused(request_: bytes, authority: ProxyAuthority) -> None:
    async with proxy(authority) as (reader, writer, capture):
        assert (await said(reader, writer, request_))[0] == "HTTP/1.1 400 Bad Request"
    assert capture == ProxyCapture()


@pytest.mark.parametrize("url", ["ftp://x/y", "http://", "file:///etc/passwd", "gopher:x"])
async def test_only_the_web_is_asked(url: str, authority: ProxyAuthority) -> None:
    async with proxy(authority) as (reader, writer, _):
        assert (await said(reader, writer, get(url)))[0] == "HTTP/1.1 502 Bad Gateway"


async def test_what_is_noted_has_an_end(web: str, authority: ProxyAuthority) -> None:
    long = f"{web}/{'x' * 50_000}"
    async with proxy(authority) as (reader, writer, capture):
        capture.url_bytes = URL_BYTES_MOST - 50_000
        assert (await said(reader, writer, get(long)))[0] == "HTTP/1.1 200 OK"
        assert (await said(reader, writer, get(long)))[0] == "HTTP/1.1 429 Too Many Requests"
    assert len(capture.requests) == 1


async def test_connections_have_an_end(authority: ProxyAuthority) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    async with serving(listener, Proxied(), authority), AsyncExitStack() as stack:
        pairs = []
        for _ in range(257):
            pairs.append(await asyncio.open_connection(*listener.getsockname()))
            stack.callback(pairs[-1][1].close)
        assert await pairs[-1][0].read() == b""


def test_what_led_to_a_material_is_one() -> None:
    led: Sequence[tuple[str, str]] = [("a", "b"), ("b", "c"), ("x", "y"), ("y", "x"), ("c", "")]
    asked = [ProxiedRequest("GET", url, 302 if to else 200, to) for url, to in led]
    capture = ProxyCapture(asked, [("c", "sha256:1")])
    assert sorted(capture.sources()) == [("a", "sha256:1"), ("b", "sha256:1"), ("c", "sha256:1")]


def test_urls_as_they_are_shown() -> None:
    assert shown("https://u:p@x.example:443/y?z") == "https://xxxxx:xxxxx@x.example/y?z"
    assert shown("http://[::1]:80/") == "http://[::1]/"
    assert shown("http://x:8080/") == "http://x:8080/"
    assert shown("http://x:bad/") == "http://x:bad/"


def test_trust_lasts_as_long_as_the_container(tmp_path: Path, authority: ProxyAuthority) -> None:
    bundle = tmp_path / BUNDLES[1].lstrip("/")
    bundle.parent.mkdir(parents=True)
    bundle.write_bytes(b"known")
    bundle.chmod(0o640)
    before = bundle.stat()
    trust = Trust(str(tmp_path), authority.pem)
    trust.add()
    assert authority.pem in bundle.read_bytes()
    trust.add()
    trust = Trust(str(tmp_path), authority.pem)
    trust.add()
    trust.remove()  # not its own
    assert bundle.read_bytes().count(authority.pem) == 1
    first = Trust(str(tmp_path), authority.pem)
    bundle.write_bytes(b"known\n")
    first.add()
    bundle.write_bytes(bundle.read_bytes() + b"more\n")
    first.remove()
    assert bundle.read_bytes() == b"known\nmore\n"
    assert bundle.stat().st_mode == before.st_mode
    bundle.unlink()
    first.remove()
    Trust(str(tmp_path), authority.pem).add()
    assert list(bundle.parent.iterdir()) == []


def test_a_bundle_that_leads_out_is_left_alone(tmp_path: Path, authority: ProxyAuthority) -> None:
    (tmp_path / "secret").write_bytes(b"x")
    root = tmp_path / "root/etc/ssl"
    root.mkdir(parents=True)
    (root / "cert.pem").symlink_to("../../../secret")
    Trust(str(tmp_path / "root"), authority.pem).add()
    assert (tmp_path / "secret").read_bytes() == b"x"


def test_a_container_that_leads_out_of_itself_afterwards(
    tmp_path: Path, authority: ProxyAuthority
) -> None:
    """What is outside stays, also if it has the authority in it."""
    outside = tmp_path / "etc/ssl"
    outside.mkdir(parents=True)
    (outside / "cert.pem").write_bytes(b"x\n" + authority.pem)
    root = tmp_path / "root"
    (root / "etc/ssl").mkdir(parents=True)
    (root / "etc/ssl/cert.pem").write_bytes(b"known\n")
    trust = Trust(str(root), authority.pem)
    trust.add()
    (root / "etc/ssl").rename(root / "kept")
    (root / "etc/ssl").symlink_to(outside)
    trust.remove()
    assert (outside / "cert.pem").read_bytes() == b"x\n" + authority.pem
    (root / "etc/ssl").unlink()
    (root / "etc/ssl").symlink_to("/kept")
    trust.remove()
    assert (root / "kept/cert.pem").read_bytes() == b"known\n"


def test_certificates_are_kept_a_while(authority: ProxyAuthority) -> None:
    assert authority.context("a.example") is authority.context("a.example")
    assert authority.context("127.0.0.1") is not authority.context("a.example")
