"""`POST /containers/prune`: containers that do not run go."""

from __future__ import annotations

from contextlib import suppress

from aiohttp import web

from croze.engineapi import filters
from croze.engineapi.answers import json
from croze.engineapi.services import Services
from croze.engineapi.times import moment_ns
from croze.errors import AlreadyExists

SERVED = ("until", "label", "label!")


async def prune_containers(request: web.Request, services: Services) -> web.StreamResponse:
    """Remove the containers that do not run."""
    chosen = filters.read(request.query.get("filters", ""), SERVED)
    gone: list[str] = []
    reclaimed = 0
    for each in services.containers.all():
        labels = each.spec.labels
        if each.running or not all(filters.labelled(labels, x) for x in chosen.get("label", ())):
            continue
        if any(filters.labelled(labels, x) for x in chosen.get("label!", ())):
            continue
        if any(each.created_ns >= moment_ns("until", text) for text in chosen.get("until", ())):
            continue
        written_bytes = await services.containers.layers.written_bytes(each)
        with suppress(AlreadyExists):  # somebody has started it
            await services.containers.remove(each)
            gone.append(each.id)
            reclaimed += written_bytes
    return json({"ContainersDeleted": gone or None, "SpaceReclaimed": reclaimed})
