"""Against a registry that misbehaves on purpose."""

from __future__ import annotations

import asyncio
import re
import socket
from pathlib import Path

import pytest
from aiohttp import web

from croze.aio.streams import serving
from croze.errors import Corrupted, CrozeError, Unavailable
from croze.image import descriptor as media
from croze.image import reference
from croze.image.descriptor import Descriptor
from croze.image.manifest import check_supported
from croze.registry import failures, pull, push
from croze.registry.client import Registry
from croze.registry.credentials import Anonymous
from croze.registry.hosts import RegistryConfig
from croze.registry.transport import Retry
from tests.registry.blobs import BLOB, Folder
from tests.registry.pushing import repository
from tests.registry.servers import FAST, make_certificate, serve
from tests.support.waiting import free_port


class Faulty:
    """Serves one blob; each request takes the next plan."""

    def __init__(self, *plans: str) -> None:
        self.plans = list(plans)
        self.requests: list[web.Request] = []
        self.over = asyncio.Event()
        self.app = web.Application()
        self.app.router.add_route("*", "/{path:.*}", self.handle)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        plan = self.plans.pop(0) if self.plans else "ok"
        if plan.isdecimal():
            return web.Response(status=int(plan))
        start = int(request.headers.get("Range", "bytes=0-")[6:-1])
        if plan == "ignore range":
            start = 0
        if plan == "short":
            return web.Response(body=BLOB[:-10])
        body = BLOB[start:] if plan != "corrupt" else bytes(len(BLOB))
        if plan == "less":
            body = body[: len(body) // 2]
            span = f"bytes {start}-{start + len(body) - 1}/{len(BLOB)}"
            return web.Response(status=206, body=body, headers={"Content-Range": span})
        response = web.StreamResponse(status=206 if start else 200)
        response.content_length = len(body) + (10 if plan == "long" else 0)
        await response.prepare(request)
        if plan == "break":
            await response.write(body[: len(body) // 3])
            assert request.transport is not None
            request.transport.close()
            return response
        if plan == "stall":
            await response.write(body[: len(body) // 3])
            await self.over.wait()
            return response
        if plan == "slow":
            for at in range(0, len(body), len(body) // 8):
                await response.write(body[at : at + len(body) // 8])
                await asyncio.sleep(0.1)
            return response
        await response.write(body + bytes(10 if plan == "long" else 0))
        return response


async def fetch(client: Registry, server: Faulty, blob: Descriptor) -> bytes:
    pieces: list[bytes] = []
    async with serve(server.app) as host:
        await pull.fetch_blob(repository(client, f"{host}/x"), blob, pieces.append)
    return b"".join(pieces)


async def test_a_broken_transfer_goes_on_where_it_broke(client: Registry, blob: Descriptor) -> None:
    server = Faulty("break", "break", "ok")
    assert await fetch(client, server, blob) == BLOB
    ranges = [int(r.headers["Range"][6:-1]) for r in server.requests[1:]]
    assert ranges == [len(BLOB) // 3, len(BLOB) // 3 + (len(BLOB) - len(BLOB) // 3) // 3]


async def test_a_server_that_ignores_ranges(client: Registry, blob: Descriptor) -> None:
    assert await fetch(client, Faulty("break", "ignore range"), blob) == BLOB


async def test_broken_answers_are_asked_for_again(client: Registry, blob: Descriptor) -> None:
    server = Faulty("500", "503", "502", "429", "ok")
    assert await fetch(client, server, blob) == BLOB


async def test_a_transfer_that_stalls_goes_on_where_it_stopped(blob: Descriptor) -> None:
    server, over = Faulty("stall", "stall", "ok"), asyncio.Event()
    server.over = over
    client = Registry(retry=Retry(first_s=0.001, limit_s=0.008, stalled_s=0.1))
    try:
        assert await fetch(client, server, blob) == BLOB
    finally:
        over.set()
        await client.close()
    assert "Range" in server.requests[1].headers


HEADS = {
    "418 t\ufffd": b"HTTP/1.1 418 t\xff\r\nContent-Length: 0\r\n\r\n",
    "a/\ufffd": b"HTTP/1.1 200 x\r\nContent-Type: a/\xff\r\nContent-Length: 2\r\n"
    b"Docker-Content-Digest: sha256:%b\r\n\r\n" % (b"0" * 64),
    "failed to fetch anonymous token": b"HTTP/1.1 401 x\r\nWWW-Authenticate: Bearer "
    b'realm="http://\xff/",service="\xff"\r\nContent-Length: 0\r\n\r\n',
}


MALFORMED = (
    b"HTTP/1.1 200 x\r\nContent-Length: -1\r\n\r\n",
    b"HTTP/1.1 200 x\r\nContent-Length: %b\r\n\r\n" % (b"9" * 40),
    b"HTTP/1.1 200 x\r\n" + b"A: b\r\n" * 200_000 + b"\r\n",
    b"HTTP/1.1 200 x\r\nA: " + b"b" * 100_000 + b"\r\n\r\n",
)


@pytest.mark.parametrize("head", MALFORMED)
async def test_heads_that_nobody_reads(client: Registry, head: bytes) -> None:
    """What is told is one line, in words and not in Python."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head)

    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    async with serving(listener, answer, most=9):
        with pytest.raises(CrozeError) as caught:
            await pull.resolve(repository(client, f"127.0.0.1:{port}/x"))
    request, _, why = str(caught.value).partition("HTTP/1.x transport connection broken: ")
    assert request.endswith('/v2/x/manifests/latest": net/http: ')
    assert "\n" not in why


@pytest.mark.parametrize("told", HEADS)
async def test_heads_that_are_no_text(client: Registry, told: str) -> None:
    """Of an answer: what is told of it can be sent and kept, and the answer be told."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(HEADS[told])

    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    async with serving(listener, answer, most=9):
        repo = repository(client, f"127.0.0.1:{port}/x")
        with pytest.raises(CrozeError, match=re.escape(told)) as caught:
            check_supported((await pull.resolve(repo)).media_type)
        str(caught.value).encode()


async def test_a_stalled_transfer_is_given_up_in_the_end(blob: Descriptor) -> None:
    server = Faulty(*["stall"] * 100)
    client = Registry(retry=Retry(first_s=0.001, limit_s=0.004, stalled_s=0.05))
    try:
        with pytest.raises(Unavailable, match="i/o timeout"):
            await fetch(client, server, blob)
    finally:
        await client.close()


async def test_bytes_that_come_slowly_are_not_a_stall(blob: Descriptor) -> None:
    client = Registry(retry=Retry(stalled_s=0.5))
    server = Faulty("slow")
    try:
        assert await fetch(client, server, blob) == BLOB
    finally:
        await client.close()
    assert len(server.requests) == 1


async def test_it_gives_up_in_the_end(client: Registry, blob: Descriptor) -> None:
    server = Faulty(*["502"] * 100)
    with pytest.raises(failures.UnexpectedStatus, match="502 Bad Gateway"):
        await fetch(client, server, blob)
    assert len(server.requests) == 4


async def test_other_refusals_are_final(client: Registry, blob: Descriptor) -> None:
    server = Faulty("400")
    with pytest.raises(failures.UnexpectedStatus, match="400 Bad Request"):
        await fetch(client, server, blob)
    assert len(server.requests) == 1


async def test_too_few_bytes(client: Registry, blob: Descriptor) -> None:
    """It is all there is: asking again would bring the same."""
    server = Faulty("short")
    size = len(BLOB)
    with pytest.raises(Corrupted, match=f"short read: expected {size} bytes but got {size - 10}: "):
        await fetch(client, server, blob)
    assert len(server.requests) == 1


async def test_a_server_that_sends_less_of_a_range_than_was_asked_for(
    client: Registry, blob: Descriptor
) -> None:
    server = Faulty("break", "less", "ok")
    assert await fetch(client, server, blob) == BLOB
    assert len(server.requests) == 3


async def test_too_many_bytes(client: Registry, blob: Descriptor) -> None:
    with pytest.raises(Corrupted, match="longer than"):
        await fetch(client, Faulty("long"), blob)


async def test_a_manifest_that_is_not_what_was_asked_for(
    client: Registry, blob: Descriptor
) -> None:
    server = Faulty("corrupt")
    async with serve(server.app) as host:
        with pytest.raises(Corrupted, match="unexpected digest"):
            await pull.fetch_manifest(repository(client, f"{host}/x"), blob)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
async def test_nobody_listens(client: Registry, host: str) -> None:
    """The address is told that a name stands for."""
    port = free_port()
    with pytest.raises(Unavailable) as caught:
        await pull.resolve(repository(client, f"{host}:{port}/x"))
    text, _, dialed = str(caught.value).partition(": dial tcp ")
    assert text == f'failed to do request: Head "http://{host}:{port}/v2/x/manifests/latest"'
    address, _, why = dialed.partition(": connect: ")
    assert address in (f"127.0.0.1:{port}", f"[::1]:{port}")
    assert why == "connection refused"


async def test_a_transfer_can_be_cancelled(client: Registry, blob: Descriptor) -> None:
    started = asyncio.Event()

    async def hang(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = blob.size
        await response.prepare(request)
        await response.write(b"x")
        started.set()
        await asyncio.Event().wait()
        return response

    app = web.Application()
    app.router.add_get("/{path:.*}", hang)
    async with serve(app) as host:
        repo = repository(client, f"{host}/x")
        fetching = asyncio.get_running_loop().create_task(
            pull.fetch_blob(repo, blob, lambda data: None)
        )
        await started.wait()
        fetching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await fetching


async def test_upload_errors_say_what_the_registry_said(client: Registry, tmp_path: Path) -> None:
    async def refuse(request: web.Request) -> web.Response:
        if request.method == "HEAD":
            return web.Response(status=404)
        error = {"code": "TOO_BIG", "message": "quota exceeded"}
        return web.json_response({"errors": [error]}, status=413)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", refuse)
    content = Folder(tmp_path)
    blob = content.add(b"x", "a/b")
    async with serve(app) as host:
        with pytest.raises(CrozeError, match=r"413 .*\nunknown: quota exceeded"):
            await push.push_blob(repository(client, f"{host}/x"), blob, content.path(blob.digest))


async def test_a_broken_upload_is_sent_again(client: Registry, tmp_path: Path) -> None:
    bodies: list[int] = []

    async def handle(request: web.Request) -> web.Response:
        if request.method == "HEAD":
            return web.Response(status=404)
        if request.method == "POST":
            return web.Response(status=202, headers={"Location": "/up?_state=a%3Db%2Bc"})
        assert request.raw_path.startswith("/up?_state=a%3Db%2Bc&digest=sha256%3A")
        bodies.append(len(await request.read()))
        return web.Response(status=201 if len(bodies) > 1 else 502)

    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/{path:.*}", handle)
    content = Folder(tmp_path)
    blob = content.add(BLOB, "a/b")
    async with serve(app) as host:
        await push.push_blob(repository(client, f"{host}/x"), blob, content.path(blob.digest))
    assert bodies == [len(BLOB), len(BLOB)]


async def test_a_manifest_is_put_again_when_the_registry_misses_blobs_it_has_taken(
    client: Registry,
) -> None:
    """As Debian's does while somebody else pushes the same blob."""
    answers = [400, 400, 201]

    async def handle(request: web.Request) -> web.Response:
        status = answers.pop(0)
        missing = {"errors": [{"code": "MANIFEST_BLOB_UNKNOWN", "message": "blob unknown"}]}
        return web.json_response(missing if status == 400 else None, status=status)

    app = web.Application()
    app.router.add_put("/{path:.*}", handle)
    async with serve(app) as host:
        await push.push_manifest(repository(client, f"{host}/app:1"), b"{}", media.OCI_MANIFEST)
    assert not answers


async def test_mirrors_come_first_and_the_real_host_helps_out(blob: Descriptor) -> None:
    mirror, real = Faulty("404"), Faulty("ok")
    pieces: list[bytes] = []
    async with serve(mirror.app) as mirror_host, serve(real.app) as host:
        config = RegistryConfig(mirrors=(f"{mirror_host}/some/path",))
        registry = Registry({host: config}, retry=FAST)
        try:
            await pull.fetch_blob(repository(registry, f"{host}/x"), blob, pieces.append)
        finally:
            await registry.close()
    assert b"".join(pieces) == BLOB
    assert mirror.requests[0].path == f"/v2/some/path/x/blobs/{blob.digest}"
    assert mirror.requests[0].query["ns"] == host
    assert "ns" not in real.requests[0].query


_UNKNOWN_AUTHORITY = (
    "tls: failed to verify certificate: x509: certificate signed by unknown authority"
)


async def test_tls(blob: Descriptor, tmp_path: Path) -> None:
    make_certificate(tmp_path)
    async with serve(Faulty().app, tmp_path) as host:
        trusting = {
            host: RegistryConfig(http=False, ca=(f"{tmp_path}/cert.pem",)),
            f"{host} ": RegistryConfig(),
        }
        for configs, insecure in ((trusting, False), ({}, True)):
            registry = Registry(configs, retry=FAST)
            pieces: list[bytes] = []
            repo = registry.repository(reference.parse(f"{host}/x"), Anonymous(), insecure=insecure)
            try:
                await pull.fetch_blob(repo, blob, pieces.append)
            finally:
                await registry.close()
            assert b"".join(pieces) == BLOB
        registry = Registry({host: RegistryConfig(http=False)}, retry=FAST)
        try:
            with pytest.raises(Unavailable, match=_UNKNOWN_AUTHORITY):
                await pull.resolve(repository(registry, f"{host}/x"))
        finally:
            await registry.close()


async def test_insecure_falls_back_to_plain_http(blob: Descriptor) -> None:
    async with serve(Faulty().app) as host:
        registry = Registry(retry=FAST)
        repo = registry.repository(reference.parse(f"{host}/x"), Anonymous(), insecure=True)
        pieces: list[bytes] = []
        try:
            await pull.fetch_blob(repo, blob, pieces.append)
        finally:
            await registry.close()
    assert b"".join(pieces) == BLOB


async def test_a_server_that_speaks_tls_says_so() -> None:
    """Go's servers answer what is no handshake with these bytes, and close."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        words = b"Client sent an HTTP request to an HTTPS server.\n"
        writer.write(b"HTTP/1.0 400 Bad Request\r\n\r\n" + words)
        await writer.drain()
        writer.close()

    listener = socket.create_server(("127.0.0.1", 0))
    host = f"127.0.0.1:{listener.getsockname()[1]}"
    registry = Registry(retry=FAST)
    async with serving(listener, answer, most=9):
        try:
            with pytest.raises((Unavailable, failures.UnexpectedStatus)) as raised:
                await pull.resolve(repository(registry, f"{host}/a:1"))
        finally:
            await registry.close()
    said = f"unexpected status from HEAD request to http://{host}/v2/a/manifests/1: 400 Bad Request"
    # The oldest aiohttp that may be there takes the bytes for an answer, of which HEAD has no body.
    told = f"{said}: Client sent an HTTP request to an HTTPS server."
    assert str(raised.value) in (said, told)
