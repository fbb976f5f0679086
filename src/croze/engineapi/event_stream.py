"""`GET /events`: what goes on, as lines of JSON."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

import msgspec
from aiohttp import web

from croze.engineapi import filters
from croze.engineapi.answers import HEADERS
from croze.engineapi.events import EngineEvent
from croze.engineapi.query import UrlQuery
from croze.engineapi.services import Services
from croze.engineapi.times import moment_ns

FILTERS = ("type", "event", "image", "container", "label", "scope")


async def events(request: web.Request, services: Services) -> web.StreamResponse:
    """`GET /events`: up to `until`, or for as long as the client listens."""
    query = UrlQuery(request.query.items())
    chosen = filters.read(query.first("filters"), FILTERS)
    since = moment_ns("since", query.first("since")) if query.first("since") else None
    until = moment_ns("until", query.first("until")) if query.first("until") else None
    answer = web.StreamResponse(headers={**HEADERS, "Content-Type": "application/json"})
    await answer.prepare(request)

    async def tell(event: EngineEvent) -> None:
        if _wanted(event, chosen):
            await answer.write(msgspec.json.encode(event.line()) + b"\n")

    with services.events.listening() as (past, coming):
        for event in past if (since, until) != (None, None) else ():
            if (since or 0) <= event.time_ns <= (until or event.time_ns):
                await tell(event)
        left_s = None if until is None else max(0.0, (until - time.time_ns()) / 1e9)
        with suppress(TimeoutError):
            async with asyncio.timeout(left_s):
                while True:
                    await tell(await coming.get())
    await answer.write_eof()
    return answer


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
    """Whether one of the names is allowed: as a whole, without its tag, or as an id that begins
    so."""
    if allowed is None:
        return True
    bare = [name.partition("@")[0].rpartition(":")[0] for name in names]
    return any(
        name and (name in allowed or any(name.startswith(w) and len(w) >= 12 for w in allowed))
        for name in (*names, *bare)
    )
