"""What clients ask of networks and volumes before they build: there are three networks and no
volumes."""

from __future__ import annotations

from aiohttp import web

from croze.engineapi import filters
from croze.engineapi.answers import json
from croze.engineapi.services import Services
from croze.errors import NotFound, PermissionDenied

NETWORKS = ("bridge", "host", "none")
_FILTERS = ("name", "id", "label", "driver", "dangling", "scope", "type")
_PRUNED = ("until", "label", "label!", "all")


def _network(name: str) -> dict[str, object]:
    return {
        "Name": name,
        "Id": name,
        "Created": "0001-01-01T00:00:00Z",
        "Scope": "local",
        "Driver": "null" if name == "none" else name,
        "EnableIPv4": True,
        "EnableIPv6": False,
        "IPAM": {"Driver": "default", "Options": None, "Config": []},
        "Internal": False,
        "Attachable": False,
        "Ingress": False,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": False,
        "Containers": {},
        "Options": {},
        "Labels": {},
    }


async def networks(request: web.Request, services: Services) -> web.StreamResponse:
    """`GET /networks`: what containers may be given."""
    chosen = filters.read(request.query.get("filters", ""), _FILTERS)
    names = [name for name in NETWORKS if "label" not in chosen]
    for key in ("name", "id"):
        if key in chosen:
            names = [
                name for name in names if any(filters.matches(part, name) for part in chosen[key])
            ]
    return json([_network(name) for name in names])


async def network(request: web.Request, services: Services) -> web.StreamResponse:
    name = request.match_info["name"]
    if name not in NETWORKS:
        raise NotFound(f"network {name} not found")
    return json(_network(name))


async def remove_network(request: web.Request, services: Services) -> web.StreamResponse:
    """`DELETE /networks/NAME`: those that there are stay."""
    name = request.match_info["name"]
    if name not in NETWORKS:
        raise NotFound(f"network {name} not found")
    raise PermissionDenied(f"{name} is a pre-defined network and cannot be removed")


async def volumes(request: web.Request, services: Services) -> web.StreamResponse:
    """`GET /volumes`."""
    filters.read(request.query.get("filters", ""), _FILTERS)
    return json({"Volumes": [], "Warnings": None})


async def volume(request: web.Request, services: Services) -> web.StreamResponse:
    raise NotFound(f"get {request.match_info['name']}: no such volume")


async def prune_networks(request: web.Request, services: Services) -> web.StreamResponse:
    """`POST /networks/prune`: nothing goes."""
    filters.read(request.query.get("filters", ""), _PRUNED)
    return json({"NetworksDeleted": None})


async def prune_volumes(request: web.Request, services: Services) -> web.StreamResponse:
    """`POST /volumes/prune`: nothing goes."""
    filters.read(request.query.get("filters", ""), _PRUNED)
    return json({"VolumesDeleted": None, "SpaceReclaimed": 0})
