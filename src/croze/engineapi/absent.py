"""What a Docker engine may have, and this one has none of: plugins, and a swarm. Clients look there
for names that they find nowhere else (`docker inspect NAME`)."""

from __future__ import annotations

from aiohttp import web

from croze.engineapi.answers import json
from croze.engineapi.services import Services
from croze.errors import NotFound, Unavailable

SWARM = ("configs", "nodes", "secrets", "services", "tasks")


async def plugins(request: web.Request, services: Services) -> web.StreamResponse:
    """`GET /plugins`."""
    return json([])


async def plugin(request: web.Request, services: Services) -> web.StreamResponse:
    raise NotFound(f'plugin "{request.match_info["name"]}" not found')


async def swarm(request: web.Request, services: Services) -> web.StreamResponse:
    """What only a manager of a swarm has. Docker's words."""
    raise Unavailable(
        'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to '
        "connect this node to swarm and try again."
    )
