"""Images: list, inspect, history, tag."""

from __future__ import annotations

from aiohttp import web

from croze.engineapi.answers import HEADERS, at_least, json
from croze.engineapi.images import filters, platforms
from croze.engineapi.images.names import NamedImage, find
from croze.engineapi.images.usage import shared_bytes
from croze.engineapi.images.views import ImageView, described, manifests_of, view
from croze.engineapi.query import flag
from croze.engineapi.services import Services
from croze.engineapi.times import rfc3339
from croze.errors import InvalidRequest
from croze.gotypes import gojson
from croze.gotypes.moments import rfc3339_of
from croze.image import reference
from croze.image.config import HistoryEntry, seconds_of


async def list_images(request: web.Request, services: Services) -> web.StreamResponse:
    """`GET /images/json`."""
    chosen = filters.parse(request.query.get("filters", ""))
    if "filter" in request.query:
        chosen.setdefault("reference", []).append(request.query["filter"])
    images = filters.chosen(services, chosen)
    rows = [(view(image, services), image) for image in images]
    rows.sort(key=lambda row: row[0].created_s, reverse=True)
    using = services.containers.using
    listed = [summary(shown, image, request, len(using(image.id))) for shown, image in rows]
    if flag(request, "shared-size"):
        shared = shared_bytes(services)
        listed = [{**row, "SharedSize": shared[str(row["Id"])]} for row in listed]
    if flag(request, "manifests"):
        below = [manifests_of(image, services) for _, image in rows]
        listed = [{**row, "Manifests": each} for row, each in zip(listed, below, strict=True)]
    return json(listed)


def summary(
    shown: ImageView, image: NamedImage, request: web.Request, in_use: int
) -> dict[str, object]:
    """A row of the list; `in_use` counts the image's containers."""
    row: dict[str, object] = {
        "Containers": in_use if at_least(request, "1.51") else -1,
        "Created": shown.created_s,
        "Id": image.id,
        "Labels": dict(shown.config.config.labels) or None,
        "ParentId": "",
        "RepoDigests": image.digests,
        "RepoTags": image.tags,
        "SharedSize": -1,
        "Size": shown.size,
    }
    if at_least(request, "1.48"):
        row["Descriptor"] = described(image.target)
    return row if at_least(request, "1.44") else {**row, "VirtualSize": shown.size}


async def inspect(request: web.Request, services: Services) -> web.StreamResponse:
    """`GET /images/{name}/json`."""
    only = platforms.asked(request)
    if only is not None and flag(request, "manifests"):
        raise InvalidRequest(
            "conflicting options: manifests and platform options cannot both be set"
        )
    image = find(services.images, services.blobs, request.match_info["name"])
    shown = view(image, services, only)
    config = shown.config
    about: dict[str, object] = {
        "Id": image.id,
        "RepoTags": image.tags,
        "RepoDigests": image.digests,
        "Parent": "",
        "Comment": config.history[-1].comment if config.history else "",
        "Created": config.created or rfc3339(0),
        "DockerVersion": "",
        "Author": config.author,
        "Config": gojson.unmarshal(gojson.marshal(config.config)),
        "Architecture": config.architecture,
        "Os": config.os,
        "Size": shown.size,
        "GraphDriver": {"Data": None, "Name": services.machine.snapshotter},
        "RootFS": {"Type": config.rootfs.type or "layers", "Layers": list(config.diff_ids)},
        "Metadata": {"LastTagTime": rfc3339_of(image.tagged_at)},
    }
    if at_least(request, "1.48"):
        about["Descriptor"] = described(image.target)
    if config.variant:
        about["Variant"] = config.variant
    if flag(request, "manifests"):
        about["Manifests"] = manifests_of(image, services)
    return json(about if at_least(request, "1.44") else {**about, "VirtualSize": shown.size})


async def history(request: web.Request, services: Services) -> web.StreamResponse:
    """`GET /images/{name}/history`: an image's steps, the newest first."""
    image = find(services.images, services.blobs, request.match_info["name"])
    shown = view(image, services, platforms.asked(request))
    layers = iter(shown.layers)
    rows = [
        _history_row(entry, 0 if entry.empty_layer else next(layers, 0))
        for entry in shown.config.history
    ]
    rows.reverse()
    if rows:
        rows[0].update({"Id": image.id, "Tags": image.tags or None})
    return json(rows)


def _history_row(entry: HistoryEntry, size: int) -> dict[str, object]:
    return {
        "Comment": entry.comment,
        "Created": seconds_of(entry.created),
        "CreatedBy": entry.created_by,
        "Id": "<missing>",
        "Size": size,
        "Tags": None,
    }


async def tag(request: web.Request, services: Services) -> web.StreamResponse:
    """`POST /images/{name}/tag`."""
    image = find(services.images, services.blobs, request.match_info["name"])
    name = reference.parse(request.query.get("repo", ""))
    if name.digest:
        raise InvalidRequest("refusing to create a tag with a digest reference")
    if text := request.query.get("tag"):
        name = reference.parse(f"{name.name}:{text}")
    services.images.set(str(name.tagged()), image.target)
    return web.Response(status=201, headers=HEADERS)
