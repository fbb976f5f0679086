"""Registries that are reached by a proxy."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from croze.aio.streams import serving
from croze.errors import CrozeError
from croze.http.daemon import HttpClient
from croze.registry import pull
from croze.registry.client import Registry
from tests.registry.pushing import repository
from tests.support.waiting import PATIENCE_S


@asynccontextmanager
async def proxy(answer: bytes) -> AsyncIterator[str]:
    """One that answers whoever wants a way through so; without an answer it says nothing."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if not answer:
            await asyncio.Event().wait()
        writer.write(answer)

    listener = socket.create_server(("127.0.0.1", 0))
    async with serving(listener, serve, most=9):
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


async def test_one_that_says_nothing() -> None:
    async with proxy(b"") as url:
        client = HttpClient(proxy=url, proxied_s=0.1)
        try:
            async with asyncio.timeout(PATIENCE_S):
                with pytest.raises(TimeoutError):
                    await client.send("GET", "https://registry.test/")
        finally:
            await client.close()


async def test_one_that_refuses(client: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told of as Go tells of it: in its own words."""
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    async with proxy(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n") as url:
        monkeypatch.setenv("https_proxy", url)
        with pytest.raises(CrozeError, match=r'/manifests/latest": Proxy Authentication Required$'):
            await pull.resolve(repository(client, "registry.test:5000/x"))
