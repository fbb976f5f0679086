"""Blobs that go up while they are written."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from croze.digests import digest_of
from croze.image.descriptor import Descriptor
from croze.registry import push
from croze.registry.client import Registry
from croze.registry.credentials import Anonymous, Login
from croze.registry.growing import SMALLEST_BYTES, GrowingBlob, push_growing
from tests.registry.pushing import repository
from tests.registry.servers import serve

LARGE = os.urandom(SMALLEST_BYTES + 700_001)
DIGEST = digest_of(LARGE)


class Uploads:
    """A registry that takes uploads as they come, and tells what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.under_way = asyncio.Event()
        """Much has come."""
        self.logins: list[str | None] = []
        self.refused: dict[str, int] = {}
        self.has = False
        self.patience = asyncio.Event()
        """PATCH is not answered before."""
        self.patience.set()
        self.app = web.Application()
        self.app.router.add_route("*", "/{path:.*}", self.handle)

    async def handle(self, request: web.Request) -> web.Response:
        self.asked.append(request.method)
        self.logins.append(request.headers.get("Authorization"))
        if status := self.refused.get(request.method):
            return web.Response(status=status)
        if request.method == "HEAD":
            return web.Response(status=200 if self.has else 404)
        if request.method == "POST":
            return web.Response(status=202, headers={"Location": "/up?state=1"})
        if request.method == "PATCH":
            digest, received = hashlib.sha256(), 0
            async for data in request.content.iter_any():
                digest.update(data)
                received += len(data)
                if received > SMALLEST_BYTES // 2:
                    self.under_way.set()
            await self.patience.wait()
            self.digest = f"sha256:{digest.hexdigest()}"
            return web.Response(status=202, headers={"Location": "/up?state=2"})
        if request.query != {"state": "2", "digest": self.digest} or await request.read():
            return web.Response(status=400)
        return web.Response(status=201, headers={"Docker-Content-Digest": self.digest})


@pytest.fixture
async def uploads() -> AsyncIterator[tuple[Uploads, str]]:
    server = Uploads()
    async with serve(server.app) as host:
        yield server, host


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """What is to grow."""
    path = tmp_path / "blob"
    path.touch()
    return path


def append(path: Path, data: bytes) -> None:
    with open(path, "ab") as file:
        file.write(data)


def upload(client: Registry, host: str, blob: GrowingBlob) -> asyncio.Task[bool]:
    work = push_growing(repository(client, f"{host}/x"), blob)
    return asyncio.get_running_loop().create_task(work)


async def test_it_goes_up_while_it_is_written(
    client: Registry, uploads: tuple[Uploads, str], file: Path
) -> None:
    server, host = uploads
    blob = GrowingBlob(file)
    sending = upload(client, host, blob)
    append(file, LARGE[:-100_000])
    await server.under_way.wait()
    assert server.asked == ["POST", "PATCH"]
    append(file, LARGE[-100_000:])
    blob.complete(DIGEST, len(LARGE))
    file.rename(file.with_name("published"))
    assert await sending
    assert server.digest == DIGEST
    assert server.asked.count("PUT") == server.asked.count("PATCH") == 1


async def test_a_real_registry_has_it_then(client: Registry, host: str, file: Path) -> None:
    blob = GrowingBlob(file)
    sending = upload(client, host, blob)
    for at in range(0, len(LARGE), 2_000_000):
        append(file, LARGE[at : at + 2_000_000])
        await asyncio.sleep(0.02)
    blob.complete(DIGEST, len(LARGE))
    assert await sending
    there = Descriptor("", DIGEST, len(LARGE))
    assert await push.has_blob(repository(client, f"{host}/x"), there)


async def test_what_stays_small_asks_for_nothing(
    client: Registry, uploads: tuple[Uploads, str], file: Path
) -> None:
    server, host = uploads
    blob = GrowingBlob(file)
    sending = upload(client, host, blob)
    append(file, b"small")
    blob.complete(digest_of(b"small"), 5)
    assert not await sending
    assert not server.asked


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT"])
async def test_a_registry_that_does_not_take_it_so(
    client: Registry, uploads: tuple[Uploads, str], file: Path, method: str
) -> None:
    server, host = uploads
    server.refused[method] = 405
    append(file, LARGE)
    blob = GrowingBlob(file)
    blob.complete(DIGEST, len(LARGE))
    assert not await upload(client, host, blob)
    assert method in server.asked


async def test_what_the_registry_has_is_sent_no_further(
    client: Registry, uploads: tuple[Uploads, str], file: Path
) -> None:
    server, host = uploads
    server.has = True
    server.patience.clear()
    append(file, LARGE)
    blob = GrowingBlob(file)
    sending = upload(client, host, blob)
    await server.under_way.wait()
    blob.complete(DIGEST, len(LARGE))
    assert await sending
    assert "PUT" not in server.asked


async def test_bytes_that_are_not_what_was_said(
    client: Registry, uploads: tuple[Uploads, str], file: Path
) -> None:
    """The registry compares: it is the digest that was said which it is asked to keep."""
    _, host = uploads
    append(file, LARGE[:-1] + bytes([LARGE[-1] ^ 1]))
    blob = GrowingBlob(file)
    blob.complete(DIGEST, len(LARGE))
    assert not await upload(client, host, blob)


async def test_it_can_be_cancelled(
    client: Registry, uploads: tuple[Uploads, str], file: Path
) -> None:
    server, host = uploads
    append(file, LARGE)
    before = os.listdir("/proc/self/fd")
    blob = GrowingBlob(file)
    sending = upload(client, host, blob)
    await server.under_way.wait()
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    await client.close()
    while len(os.listdir("/proc/self/fd")) > len(before):
        await asyncio.sleep(0.01)
    assert "PUT" not in server.asked


class User(Anonymous):
    async def login(self, host: str) -> Login:
        return Login("user", "secret")


async def test_another_host_is_told_no_credentials(
    client: Registry, uploads: tuple[Uploads, str], file: Path
) -> None:
    """Neither when it is sent the bytes, nor when it says itself where they are to be ended."""
    server, elsewhere = uploads
    login = f"Basic {base64.b64encode(b'user:secret').decode()}"

    async def send_elsewhere(request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != login:
            return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="x"'})
        if request.method == "HEAD":
            return web.Response(status=404)
        return web.Response(status=202, headers={"Location": f"http://{elsewhere}/up?state=1"})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", send_elsewhere)
    append(file, LARGE)
    blob = GrowingBlob(file)
    blob.complete(DIGEST, len(LARGE))
    async with serve(app) as host:
        assert await push_growing(repository(client, f"{host}/x", User()), blob)
    assert server.asked == ["PATCH", "PUT"]
    assert server.logins == [None, None]


async def test_a_file_that_is_gone(
    client: Registry, uploads: tuple[Uploads, str], tmp_path: Path
) -> None:
    server, host = uploads
    assert not await upload(client, host, GrowingBlob(tmp_path / "gone"))
    assert not server.asked
