"""Servers that break off."""

from __future__ import annotations

from aiohttp import web


async def busy(request: web.Request) -> web.Response:
    return web.Response(status=503)


async def reset(request: web.Request) -> web.Response:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def truncated(request: web.Request) -> web.Response:
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b"half")
    return await reset(request)
