"""`POST /images/prune`: images that nobody uses go."""

from __future__ import annotations

from aiohttp import web

from croze.engineapi import filters
from croze.engineapi.answers import json
from croze.engineapi.filters import Filters
from croze.engineapi.images.names import NamedImage, find_all
from croze.engineapi.images.removal import forget
from croze.engineapi.images.usage import total_bytes
from croze.engineapi.images.views import view
from croze.engineapi.services import Services
from croze.engineapi.times import moment_ns

SERVED = ("dangling", "until", "label", "label!")


async def prune_images(request: web.Request, services: Services) -> web.StreamResponse:
    """Remove images without a name; with `dangling=false`, all that no
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
