"""`POST /images/prune`, `/containers/prune`: what nobody uses goes."""

from __future__ import annotations

from contextlib import suppress

from aiohttp import web

from croze.engineapi import filters
from croze.engineapi.answers import json
from croze.engineapi.contract import Services
from croze.engineapi.filters import Filters
from croze.engineapi.names import NamedImage, find_all
from croze.engineapi.removal import forget
from croze.engineapi.times import moment_ns
from croze.engineapi.usage import total_bytes
from croze.engineapi.views import view
from croze.errors import AlreadyExists

SERVED = ("dangling", "until", "label", "label!")


async def images(request: web.Request, services: Services) -> web.StreamResponse:
    """`POST /images/prune`: remove images without a name; with `dangling=false`, all that no
    container uses."""
    chosen = filters.read(request.query.get("filters", ""), SERVED)
    unused = [each for each in find_all(services.images) if _goes(each, chosen, services)]
    everything = find_all(services.images)
    ids = {each.id for each in unused}
    rest = [each for each in everything if each.id not in ids]
    reclaimed = total_bytes(everything, services) - total_bytes(rest, services)
    gone = [line for image in unused for line in forget(image, services)]
    services.events.emit("image", "prune", "", {"reclaimed": str(reclaimed)})
    return json({"ImagesDeleted": gone or None, "SpaceReclaimed": reclaimed})


def _goes(image: NamedImage, chosen: Filters, services: Services) -> bool:
    dangling = filters.boolean("dangling", chosen["dangling"]) if "dangling" in chosen else True
    if (dangling and not image.dangling) or services.containers.using(image.id):
        return False
    created_ns = view(image, services).created_s * 10**9
    if any(created_ns >= moment_ns("until", text) for text in chosen.get("until", ())):
        return False
    labels = view(image, services).config.config.labels
    return all(filters.labelled(labels, label) for label in chosen.get("label", ())) and not any(
        filters.labelled(labels, label) for label in chosen.get("label!", ())
    )


async def containers(request: web.Request, services: Services) -> web.StreamResponse:
    """Remove the containers that do not run."""
    chosen = filters.read(request.query.get("filters", ""), SERVED[1:])
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
