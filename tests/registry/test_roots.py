"""What a reference names, and that it is what it is said to be."""

from __future__ import annotations

import asyncio
import gzip
import socket
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from msgspec.structs import replace

from croze.aio.streams import serving
from croze.digests import digest_of
from croze.errors import Corrupted, CrozeError
from croze.image import descriptor as media
from croze.image.descriptor import Descriptor
from croze.registry import failures, pull
from croze.registry.client import Registry
from croze.registry.credentials import Anonymous, Login
from croze.registry.hosts import RegistryConfig
from tests.registry.blobs import BLOB
from tests.registry.pushing import repository
from tests.registry.servers import FAST, serve
from tests.support.logins import Fixed
from tests.support.waiting import free_port


def answering(answer: Callable[[web.Request], web.Response]) -> web.Application:
    async def handle(request: web.Request) -> web.Response:
        return answer(request)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    return app


async def test_a_manifest_of_another_size(client: Registry, blob: Descriptor) -> None:
    """What is said of a content counts before it is looked into: it decides what is read at all."""
    smaller = replace(blob, size=blob.size - 1)
    async with serve(answering(lambda _: web.Response(body=BLOB))) as host:
        with pytest.raises(Corrupted, match=f"failed size validation: {blob.size} != "):
            await pull.fetch_manifest(repository(client, f"{host}/x"), smaller)


@pytest.mark.parametrize(
    ("told", "reference_end", "trouble"),
    [
        ("", "", ""),
        ("right", "", ""),
        ("", "@right", ""),
        ("wrong", "", "unexpected digest"),
        ("", "@wrong", "unexpected digest"),
        ("foo", "", "invalid checksum digest format"),
    ],
)
async def test_a_root_is_asked_for_once(
    client: Registry, blob: Descriptor, told: str, reference_end: str, trouble: str
) -> None:
    """By whatever digest it is called."""
    digests = {"right": blob.digest, "wrong": f"sha256:{'0' * 64}"}
    seen: list[str] = []

    async def handle(request: web.Request) -> web.Response:
        seen.append(request.method)
        headers = {"Docker-Content-Digest": digests.get(told, told)} if told else {}
        return web.Response(body=BLOB, content_type=media.OCI_MANIFEST, headers=headers)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    end = f"@{digests[reference_end[1:]]}" if reference_end else ""
    async with serve(app) as host:
        asking = pull.fetch_root(repository(client, f"{host}/x{end}"))
        if trouble:
            with pytest.raises(CrozeError, match=trouble):
                await asking
        else:
            described = replace(blob, media_type=media.OCI_MANIFEST)
            assert await asking == (described, BLOB)
    assert seen == ["GET"]


def encoded(request: web.Request) -> web.Response:
    body = gzip.compress(BLOB) if request.method == "GET" else b""
    headers = {"Content-Encoding": "gzip", "Docker-Content-Digest": digest_of(BLOB)}
    return web.Response(body=body, content_type=media.OCI_MANIFEST, headers=headers)


async def test_what_is_encoded_for_the_way(client: Registry, blob: Descriptor) -> None:
    """Though it was to come as it is."""
    manifest = replace(blob, media_type=media.OCI_MANIFEST)
    got: list[bytes] = []
    async with serve(answering(encoded)) as host:
        repo = repository(client, f"{host}/x")
        assert await pull.fetch_root(repo) == (manifest, BLOB)
        assert await pull.resolve(repo) == manifest
        assert await pull.fetch_manifest(repo, manifest) == BLOB
        await pull.fetch_blob(repo, blob, got.append)
    assert b"".join(got) == BLOB


DENIED = b'{"errors": [{"code": "DENIED", "message": "not for you", "detail": {"x": 1}}]}'
PLAIN = b'{"errors": [{"code": "UNAUTHORIZED", "message": "authentication required"}]}'
BUSY = b'{"errors": [{"code": "TOOMANYREQUESTS", "message": "you have pulled enough"}]}'
STRANGE = b'{"errors": [{"code": "NAME_UNKNOWN", "message": "who?"}]}'
HEAD = "unexpected status from HEAD request to http://{host}/v2/x/manifests/latest: "
GET = (
    "httpReadSeeker: failed open: unexpected status from GET request to "
    "http://{host}/v2/x/manifests/{digest}: "
)


@pytest.mark.parametrize(
    ("status", "body", "with_head", "told", "methods"),
    [
        (404, STRANGE, 404, "{host}/x:latest: not found", "GET"),
        (401, PLAIN, 401, HEAD + "401 Unauthorized", "GET HEAD"),
        (403, DENIED, 403, HEAD + "403 Forbidden\ndenied: not for you", "GET HEAD GET"),
        (403, b"no", 403, HEAD + "403 Forbidden", "GET HEAD GET"),
        (429, BUSY, 429, HEAD + "429 Too Many Requests", "GET" + 5 * " HEAD"),
        (500, b"", 500, HEAD + "500 Internal Server Error", "GET HEAD HEAD"),
        (418, b"", 418, HEAD + "418 I'm a Teapot", "GET HEAD"),
        (400, STRANGE, 200, GET + "400 Bad Request\nunknown: who?", "GET HEAD GET"),
        (
            *(429, BUSY, 200),
            GET + "429 Too Many Requests\ntoomanyrequests: you have pulled enough",
            "GET HEAD" + 5 * " GET",
        ),
    ],
)
async def test_what_is_told_of_a_refusal(
    client: Registry,
    blob: Descriptor,
    status: int,
    body: bytes,
    with_head: int,
    told: str,
    methods: str,
) -> None:
    """Word for word what BuildKit tells, which asks with HEAD first: tools know it so."""
    seen: list[str] = []

    def answer(request: web.Request) -> web.Response:
        seen.append(request.method)
        if request.method == "GET":
            return web.Response(status=status, body=body)
        headers = {"Docker-Content-Digest": blob.digest}
        whole = BLOB if with_head == 200 else b""
        return web.Response(
            status=with_head, body=whole, headers=headers, content_type=media.OCI_MANIFEST
        )

    async with serve(answering(answer)) as host:
        with pytest.raises(CrozeError) as caught:
            await pull.fetch_root(repository(client, f"{host}/x"))
    assert str(caught.value) == told.format(host=host, digest=blob.digest)
    assert " ".join(seen) == methods


async def test_a_root_that_nobody_has() -> None:
    port = free_port()
    client = Registry(retry=FAST)
    try:
        with pytest.raises(CrozeError) as caught:
            await pull.fetch_root(repository(client, f"127.0.0.1:{port}/x"))
    finally:
        await client.close()
    assert str(caught.value) == (
        f'failed to do request: Head "http://127.0.0.1:{port}/v2/x/manifests/latest": '
        f"dial tcp 127.0.0.1:{port}: connect: connection refused"
    )


@pytest.mark.parametrize(
    ("conf", "number", "told"),
    [
        ("# x\nnameserver 10.0.0.2\nnameserver 10.0.0.3\n", -2, " on 10.0.0.2:53: no such host"),
        ("search x\nnameserver  fe80::1\n", -2, " on [fe80::1]:53: no such host"),
        ("options x\n", -2, ": no such host"),
        ("nameserver 10.0.0.2\n", socket.EAI_AGAIN, " on 10.0.0.2:53: server misbehaving"),
    ],
)
def test_a_host_that_has_no_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, conf: str, number: int, told: str
) -> None:
    (tmp_path / "resolv.conf").write_text(conf)
    monkeypatch.setattr(failures, "RESOLV_CONF", tmp_path / "resolv.conf")
    key = aiohttp.client_reqrep.ConnectionKey(
        host="x.io",
        port=443,
        is_ssl=True,
        ssl=True,
        proxy=None,
        proxy_auth=None,
        proxy_headers_hash=None,
    )
    error = aiohttp.ClientConnectorDNSError(key, OSError(number, "no"))
    failure = failures.failed("HEAD", "https://x.io/v2/", error)
    assert str(failure).endswith(f'Head "https://x.io/v2/": dial tcp: lookup x.io{told}')
    assert failure.again == (number == socket.EAI_AGAIN)


async def test_what_a_mirror_refuses_counts_more_than_what_is_not_there(blob: Descriptor) -> None:
    async with (
        serve(answering(lambda _: web.Response(status=403))) as mirror,
        serve(answering(lambda _: web.Response(status=404))) as host,
    ):
        client = Registry({host: RegistryConfig(mirrors=(mirror,))}, retry=FAST)
        try:
            with pytest.raises(CrozeError) as caught:
                await pull.resolve(repository(client, f"{host}/x"))
        finally:
            await client.close()
    url = f"http://{mirror}/v2/x/manifests/latest?ns={host.replace(':', '%3A')}"
    assert str(caught.value) == f"unexpected status from HEAD request to {url}: 403 Forbidden"


BROKEN = ": 500 Internal Server Error"


@pytest.mark.parametrize(
    ("login", "status", "body", "told"),
    [
        (False, 403, DENIED, ": 403 Forbidden"),
        (True, 403, DENIED, "denied: not for you"),
        (True, 500, b"x" * 300, f"{BROKEN}: {'x' * 256}... (44 bytes truncated)"),
        (True, 500, b'{"details": "broken"}', f"{BROKEN}: broken"),
    ],
)
async def test_what_is_told_of_a_token_server(
    client: Registry, login: bool, status: int, body: bytes, told: str
) -> None:
    def answer(request: web.Request) -> web.Response:
        if request.path == "/token":
            return web.Response(status=status, body=body)
        challenge = f'Bearer realm="http://{request.host}/token",service="s"'
        return web.Response(status=401, headers={"WWW-Authenticate": challenge})

    who = Fixed(Login("user", "secret")) if login else Anonymous()
    async with serve(answering(answer)) as host:
        with pytest.raises(CrozeError) as caught:
            await pull.fetch_root(repository(client, f"{host}/x", who))
    asked = f"http://{host}/token?scope=repository%3Ax%3Apull&service=s"
    what = "oauth" if login else "anonymous"
    begin = f"unexpected status from GET request to {asked}" if told.startswith(":") else ""
    assert str(caught.value) == f"failed to authorize: failed to fetch {what} token: {begin}{told}"


async def test_repositories_that_ask_for_different_things(
    client: Registry, blob: Descriptor
) -> None:
    """Behind one name: a token server that does not answer is the other's."""
    seen: list[str] = []

    def answer(request: web.Request) -> web.Response:
        seen.append(request.path)
        if request.path == "/token":
            return web.Response(status=500)
        if "/open/" in request.path:
            return web.Response(body=BLOB, content_type=media.OCI_MANIFEST)
        challenge = f'Bearer realm="http://{request.host}/token",service="s"'
        return web.Response(status=401, headers={"WWW-Authenticate": challenge})

    async with serve(answering(answer)) as host:
        with pytest.raises(CrozeError, match="failed to fetch anonymous token"):
            await pull.fetch_root(repository(client, f"{host}/closed"))
        seen.clear()
        assert (await pull.fetch_root(repository(client, f"{host}/open")))[1] == BLOB
    assert seen == ["/v2/open/manifests/latest"]


async def test_a_host_that_hangs_up_is_asked_again(client: Registry, blob: Descriptor) -> None:
    """As containerd does, soon: it may have been about to end."""
    calls = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal calls
        calls += 1
        await reader.readuntil(b"\r\n\r\n")
        if calls < 4:
            return
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {media.OCI_MANIFEST}\r\n"
        head += f"Docker-Content-Digest: {blob.digest}\r\nContent-Length: {len(BLOB)}\r\n\r\n"
        writer.write(head.encode())

    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    async with serving(listener, answer, most=9):
        found = await pull.resolve(repository(client, f"127.0.0.1:{port}/x"))
    assert found == replace(blob, media_type=media.OCI_MANIFEST)
    assert calls == 4


async def test_roots_that_break_off(client: Registry, blob: Descriptor) -> None:
    answers = 0

    async def handle(request: web.Request) -> web.StreamResponse:
        nonlocal answers
        answers += 1
        response = web.StreamResponse(headers={"Content-Type": media.OCI_MANIFEST})
        response.content_length = len(BLOB)
        await response.prepare(request)
        await response.write(BLOB if answers == 3 else BLOB[:1000])
        if answers < 3:
            assert request.transport is not None
            request.transport.close()
        return response

    app = web.Application()
    app.router.add_get("/{path:.*}", handle)
    async with serve(app) as host:
        described, data = await pull.fetch_root(repository(client, f"{host}/x"))
    assert (described.digest, data) == (blob.digest, BLOB)
    assert answers == 3


@pytest.mark.parametrize("media_type", [media.OCI_MANIFEST, media.OCI_CONFIG])
async def test_a_manifest_without_end(
    client: Registry, monkeypatch: pytest.MonkeyPatch, media_type: str
) -> None:
    """It is there, and is told so."""
    monkeypatch.setattr(pull, "MAX_MANIFEST_BYTES", 1000)
    app = answering(lambda _: web.Response(body=bytes(2000), content_type=media_type))
    async with serve(app) as host:
        repo = repository(client, f"{host}/x")
        with pytest.raises(Corrupted, match="rejecting manifest over 1000 bytes: http"):
            await pull.fetch_root(repo)
        with pytest.raises(Corrupted, match="rejecting manifest over 1000 bytes: http"):
            await pull.fetch_manifest(repo, Descriptor(media_type, f"sha256:{'0' * 64}", 2000))


@pytest.mark.parametrize(("wait", "methods"), [("0", "GET" + 5 * " HEAD"), ("31", "GET HEAD")])
async def test_a_registry_that_is_to_be_asked_much_later(
    client: Registry, wait: str, methods: str
) -> None:
    """It is not waited for: BuildKit asks it again at once, and gives up as soon."""
    seen: list[str] = []

    def answer(request: web.Request) -> web.Response:
        seen.append(request.method)
        return web.Response(status=429, headers={"Retry-After": wait})

    async with serve(answering(answer)) as host:
        with pytest.raises(CrozeError, match="429 Too Many Requests"):
            await pull.fetch_root(repository(client, f"{host}/x"))
    assert " ".join(seen) == methods
