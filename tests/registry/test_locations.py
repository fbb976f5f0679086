"""Where a registry says that an upload goes on; and registries that take nothing of it."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web

from croze.aio.streams import serving
from croze.digests import digest_of
from croze.errors import CrozeError, Unavailable
from croze.image.descriptor import Descriptor
from croze.registry import push
from croze.registry.client import Registry, Repository
from croze.registry.growing import SMALLEST_BYTES, GrowingBlob, push_growing
from croze.registry.transport import Retry
from tests.registry.pushing import repository
from tests.registry.servers import serve
from tests.support.waiting import PATIENCE_S

DATA = os.urandom(SMALLEST_BYTES + 1)
BLOB = Descriptor("", digest_of(DATA), len(DATA))
Push = Callable[[Repository, Path], Awaitable[bool]]


async def push_whole(repo: Repository, path: Path) -> bool:
    await push.push_blob(repo, BLOB, path)
    return True


async def push_early(repo: Repository, path: Path) -> bool:
    blob = GrowingBlob(path)
    blob.complete(BLOB.digest, BLOB.size)
    return await push_growing(repo, blob)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "blob"
    path.write_bytes(DATA)
    return path


class Sender:
    """A registry that sends uploads somewhere."""

    def __init__(self, location: str) -> None:
        self._location = location
        self.app = web.Application(client_max_size=1 << 30)
        self.app.router.add_route("*", "/{path:.*}", self._handle)

    async def _handle(self, request: web.Request) -> web.Response:
        if request.method == "HEAD":
            return web.Response(status=404)
        if request.method == "POST":
            return web.Response(status=202, headers={"Location": self._location})
        await request.read()
        if request.method == "PATCH":
            return web.Response(status=202, headers={"Location": self._location})
        return web.Response(status=201 if request.query.get("digest") == BLOB.digest else 400)


@pytest.mark.parametrize("location", ["http://[::1/x", "//[", "/a\tb", "http://h:x/"])
async def test_what_is_no_address(client: Registry, file: Path, location: str) -> None:
    async with serve(Sender(location).app) as host:
        repo = repository(client, f"{host}/x")
        assert not await push_early(repo, file)
        with pytest.raises(CrozeError, match=r"^unable to parse location .*: parse ") as caught:
            await push_whole(repo, file)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("send", [push_whole, push_early])
async def test_the_digest_is_not_lost_in_a_fragment(
    client: Registry, file: Path, send: Push
) -> None:
    async with serve(Sender("/up?state=1#here").app) as host:
        assert await send(repository(client, f"{host}/x"), file)


@pytest.fixture
async def deaf() -> AsyncIterator[str]:
    """A registry that has no blob, and reads nothing of what it is sent."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            if head.startswith((b"PATCH", b"PUT")):
                await asyncio.Event().wait()
            status = b"404 Not Found" if head.startswith(b"HEAD") else b"202 Accepted"
            writer.write(b"HTTP/1.1 %b\r\nLocation: /up\r\nContent-Length: 0\r\n\r\n" % status)

    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)
    async with serving(listener, answer, most=99):
        yield f"127.0.0.1:{listener.getsockname()[1]}/x"


async def test_who_takes_nothing_is_given_up(deaf: str, file: Path) -> None:
    client = Registry(retry=Retry(first_s=0.001, limit_s=0.002, stalled_s=0.2))
    try:
        async with asyncio.timeout(PATIENCE_S):
            assert not await push_early(repository(client, deaf), file)
            with pytest.raises(Unavailable, match=r"timed out|i/o timeout"):
                await push_whole(repository(client, deaf), file)
    finally:
        await client.close()
