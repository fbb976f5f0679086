"""`DELETE /images/{name}`.

By id or by its last tag the whole image goes; its bytes with the next garbage collection, unless
something else needs them. There are no parents to keep: images know their layers alone.
"""

from __future__ import annotations

from aiohttp import web

from croze.engineapi.answers import json
from croze.engineapi.images.names import NamedImage, find, record_of
from croze.engineapi.query import flag, refuse
from croze.engineapi.services import Services
from croze.errors import AlreadyExists
from croze.image import reference

Line = dict[str, str]


async def remove(request: web.Request, services: Services) -> web.StreamResponse:
    """`DELETE /images/{name}`: take a name away, or with the last one the image. Raises
    `AlreadyExists`, which is Docker's conflict, for an image that has more names or is in use."""
    refuse(request, {"platforms": "removing some platforms of an image"})
    text = request.match_info["name"]
    image = find(services.images, services.blobs, text)
    named = record_of(services.images, text)
    force = flag(request, "force")
    if named is not None and len(image.records) > 1:
        services.images.delete(named.name)
        return json([{"Untagged": reference.familiar(named.name)}])
    repositories = {reference.parse(record.name).name for record in image.records}
    if named is None and len(repositories) > 1 and not force:
        raise AlreadyExists(
            f"conflict: unable to delete {_short(image)} (must be forced) - image is referenced in "
            "multiple repositories"
        )
    _check_unused(image, named is not None, force, services)
    return json(forget(image, services))


def _check_unused(image: NamedImage, named: bool, force: bool, services: Services) -> None:
    """See that no container is in the way of a removal: one that runs always is. Raises
    `AlreadyExists`."""
    for container in services.containers.using(image.id):
        state = "running" if container.running else "stopped"
        if force and not container.running:
            continue
        how = "cannot be forced" if container.running else "must be forced"
        if named and not container.running:
            raise AlreadyExists(
                f'conflict: unable to remove repository reference "{image.tags[0]}" (must force) - '
                f"container {container.id[:12]} is using its referenced image {_short(image)}"
            )
        raise AlreadyExists(
            f"conflict: unable to delete {_short(image)} ({how}) - image is being used by "
            f"{state} container {container.id[:12]}"
        )


def forget(image: NamedImage, services: Services) -> list[Line]:
    """Take all of an image's names away; the lines that tell of it."""
    for record in image.records:
        services.images.delete(record.name)
    services.events.emit("image", "delete", image.id, {"name": image.id})
    untagged = [{"Untagged": name} for name in (*image.tags, *image.digests)]
    return [*untagged, {"Deleted": image.id}]


def _short(image: NamedImage) -> str:
    return image.id.partition(":")[2][:12]
