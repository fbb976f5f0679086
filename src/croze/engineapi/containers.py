"""Containers: there are none but those of builds, which no client of this API sees."""

from __future__ import annotations

from aiohttp import web

from croze.engineapi.answers import json
from croze.engineapi.contract import Services
from croze.errors import NotFound


async def list_containers(request: web.Request, services: Services) -> web.StreamResponse:
    """`GET /containers/json`."""
    return json([])


async def inspect(request: web.Request, services: Services) -> web.StreamResponse:
    """`GET /containers/{name}/json`, which clients ask before they ask for an image."""
    raise NotFound(f"No such container: {request.match_info['name']}")
