"""`GET /events` and `GET /system/df`: what goes on, and how much room it takes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

import msgspec
from aiohttp import web

from croze.engineapi import filters
from croze.engineapi.answers import HEADERS, json
from croze.engineapi.buildcache import usage
from croze.engineapi.containers import views
from croze.engineapi.contract import Services
from croze.engineapi.events import EngineEvent
from croze.engineapi.images import summary
from croze.engineapi.names import find_all
from croze.engineapi.query import UrlQuery
from croze.engineapi.times import moment_ns
from croze.engineapi.usage import shared_bytes, total_bytes
from croze.engineapi.views import view
from croze.errors import InvalidRequest

FILTERS = ("type", "event", "image", "container", "label", "scope")
KINDS = ("container", "image", "volume", "build-cache")


async def events(request: web.Request, services: Services) -> web.StreamResponse:
    """`GET /events`: up to `until`, or for as long as the client listens."""
    query = UrlQuery(request.query.items())
    chosen = filters.read(query.first("filters"), FILTERS)
    since = moment_ns("since", query.first("since")) if query.first("since") else None
    until = moment_ns("until", query.first("until")) if query.first("until") else None
    answer = web.StreamResponse(headers={**HEADERS, "Content-Type": "application/json"})
    await answer.prepare(request)
    with services.events.listening() as (past, coming):
        for event in past if (since, until) != (None, None) else ():
            in_time = (since or 0) <= event.time_ns <= (until or event.time_ns)
            if in_time and _wanted(event, chosen):
                await _write(answer, event)
        with suppress(TimeoutError):
            left_s = None if until is None else max(0.0, (until - time.time_ns()) / 1e9)
            async with asyncio.timeout(left_s):
                while True:
                    event = await coming.get()
                    if _wanted(event, chosen):
                        await _write(answer, event)
    await answer.write_eof()
    return answer


async def _write(answer: web.StreamResponse, event: EngineEvent) -> None:
    await answer.write(msgspec.json.encode(event.line()) + b"\n")


def _wanted(event: EngineEvent, chosen: Mapping[str, Sequence[str]]) -> bool:
    names = (event.id, event.attributes.get("name", ""), event.attributes.get("image", ""))
    return (
        _among(chosen.get("type"), (event.type,))
        and _among(chosen.get("event"), (event.action,))
        and _among(chosen.get("scope"), ("local",))
        and (event.type == "image" or "image" not in chosen or _named(chosen["image"], names[2:]))
        and (event.type != "image" or _named(chosen.get("image"), names))
        and (event.type == "container" or "container" not in chosen)
        and (event.type != "container" or _named(chosen.get("container"), names))
        and all(filters.labelled(event.attributes, each) for each in chosen.get("label", ()))
    )


def _among(allowed: Sequence[str] | None, values: Sequence[str]) -> bool:
    return allowed is None or any(value in allowed for value in values)


def _named(allowed: Sequence[str] | None, names: Sequence[str]) -> bool:
    """By a whole name, one without its tag, or the beginning of an id."""
    if allowed is None:
        return True
    bare = [name.partition("@")[0].rpartition(":")[0] for name in names]
    return any(
        name and (name in allowed or any(name.startswith(w) and len(w) >= 12 for w in allowed))
        for name in (*names, *bare)
    )


async def disk_usage(request: web.Request, services: Services) -> web.StreamResponse:
    """`GET /system/df`: the room that things take, of the kinds in `type`, or of all."""
    kinds = UrlQuery(request.query.items()).all("type") or list(KINDS)
    for kind in kinds:
        if kind not in KINDS:
            raise InvalidRequest(f"unknown object type: {kind}")
    about: dict[str, object] = {
        "LayersSize": 0,
        "Images": None,
        "Containers": None,
        "Volumes": None,
        "BuildCache": None,
    }
    if "image" in kinds:
        images = find_all(services.images)
        shared = shared_bytes(services)
        about["LayersSize"] = total_bytes(images, services)
        about["Images"] = [
            {
                **summary(view(image, services), image, request, in_use),
                "SharedSize": shared[image.id],
                "Containers": in_use,
            }
            for image in images
            for in_use in (len(services.containers.using(image.id)),)
        ]
    if "container" in kinds:
        about["Containers"] = [views.row(each) for each in services.containers.all()]
    if "volume" in kinds:
        about["Volumes"] = []
    if "build-cache" in kinds:
        about["BuildCache"] = await usage(services)
    return json(about)
