"""`/containers`: make, start, stop, remove, list and inspect them."""

from __future__ import annotations

import signal

from aiohttp import web

from croze.engineapi import filters
from croze.engineapi.answers import HEADERS, json
from croze.engineapi.container_routes import views
from croze.engineapi.container_routes.bodies import read_body, read_size
from croze.engineapi.containers import names
from croze.engineapi.containers import spec as specs
from croze.engineapi.containers.container import OneContainer
from croze.engineapi.images.names import find, record_of
from croze.engineapi.images.views import view
from croze.engineapi.query import UrlQuery, flag, refuse
from croze.engineapi.services import Services
from croze.errors import AlreadyExists, CrozeError, InvalidRequest, NotFound
from croze.gotypes.numbers import parse_int
from croze.runtime.contract import ContainerMount

FILTERS = (
    *("id", "name", "label", "status", "ancestor", "exited", "network", "volume", "before"),
    *("since", "health", "publish", "expose", "is-task"),
)
LOOKS_AT_ALL = frozenset({"status", "exited", "before", "since"})
NONE_HAS = ("publish", "expose")
"""A container's ports are the host's."""
STATUSES = ("created", "restarting", "running", "removing", "paused", "exited", "dead")
PATIENCE_S = 10.0


def _found(request: web.Request, services: Services) -> OneContainer:
    return services.containers.find(request.match_info["name"])


def done(status: int = 204) -> web.Response:
    return web.Response(status=status, headers=HEADERS)


async def create(request: web.Request, services: Services) -> web.StreamResponse:
    query = UrlQuery(request.query.items())
    spec = specs.read(await read_body(request))
    if not spec.image:
        raise InvalidRequest("no image specified")
    image = find(services.images, services.blobs, spec.image)
    record = record_of(services.images, spec.image) or image.records[0]
    name = query.first("name").removeprefix("/")
    one = await services.containers.create(
        spec, name, image.id, record.name, query.first("platform")
    )
    return json({"Id": one.id, "Warnings": []}, 201)


async def list_containers(request: web.Request, services: Services) -> web.StreamResponse:
    """`GET /containers/json`: those that run, unless `all`."""
    query = UrlQuery(request.query.items())
    chosen = filters.read(query.first("filters"), FILTERS)
    if unknown := set(chosen.get("status", ())) - set(STATUSES):
        raise InvalidRequest(f"invalid filter 'status={min(unknown)}'")
    for text in chosen.get("exited", ()):
        _number(text, f"invalid filter 'exited={text}': ")
    limit = max(0, _number(query.first("limit") or "0"))
    every = query.is_set("all") or bool(limit) or not chosen.keys().isdisjoint(LOOKS_AT_ALL)
    containers = [one for one in services.containers.all() if every or one.running]
    containers = [one for one in containers if _fits(one, chosen, services)]
    containers = containers[:limit] if limit else containers
    sized = query.is_set("size")
    return json([{**views.row(one), **(await _sizes(one, services, sized))} for one in containers])


def _number(text: str, what: str = "") -> int:
    """The number that a parameter has to be. Raises `InvalidRequest`."""
    try:
        return parse_int(text, call="Atoi")
    except InvalidRequest as error:
        raise InvalidRequest(f"{what}{error}") from error


async def _sizes(one: OneContainer, services: Services, sized: bool) -> dict[str, object]:
    if not sized:
        return {}
    written = await services.containers.layers.written_bytes(one)
    try:
        image = view(find(services.images, services.blobs, one.state.image_id), services).size
    except NotFound:  # its name is another image's, and its bytes are the container's alone
        image = 0
    return {"SizeRw": written, "SizeRootFs": written + image}


def _fits(one: OneContainer, chosen: filters.Filters, services: Services) -> bool:
    labels = {**one.state.config.labels, **one.spec.labels}
    tests = (
        ("id", lambda text: filters.matches(text, one.id)),
        ("name", lambda text: filters.matches(text, one.state.name, f"/{one.state.name}")),
        ("status", lambda text: text == one.state.status),
        ("exited", lambda text: one.state.status == "exited" and text == str(one.state.exit_code)),
        ("ancestor", lambda text: _is_of(one, text, services)),
        ("network", lambda text: text in views.networks(one)),
        ("volume", lambda text: any(text in (m.dest, _source(m)) for m in specs.binds(one.spec))),
        ("before", lambda text: one.created_ns < services.containers.find(text).created_ns),
        ("since", lambda text: one.created_ns > services.containers.find(text).created_ns),
        ("health", lambda text: text == "none"),
        ("is-task", lambda text: text in ("0", "false")),
    )
    return (
        chosen.keys().isdisjoint(NONE_HAS)
        and all(any(test(text) for text in chosen[name]) for name, test in tests if name in chosen)
        and all(filters.labelled(labels, each) for each in chosen.get("label", ()))
    )


def _source(mount: ContainerMount) -> str:
    return mount.mounts[0].source


def _is_of(one: OneContainer, text: str, services: Services) -> bool:
    record = record_of(services.images, text)
    id = one.state.image_id
    return (record is not None and record.target.digest == id) or id.partition(":")[2].startswith(
        text.removeprefix("sha256:")
    )


async def inspect(request: web.Request, services: Services) -> web.StreamResponse:
    one = _found(request, services)
    sizes = await _sizes(one, services, flag(request, "size"))
    return json({**views.inspect(one), **sizes})


async def start(request: web.Request, services: Services) -> web.StreamResponse:
    one = _found(request, services)
    if one.running:
        return done(304)
    await services.containers.start(one)
    return done()


async def stop(request: web.Request, services: Services) -> web.StreamResponse:
    one = _found(request, services)
    if not one.running:
        return done(304)
    await _stopped(request, one, services)
    return done()


async def restart(request: web.Request, services: Services) -> web.StreamResponse:
    one = _found(request, services)
    with one.restarting():
        if one.running:
            await _stopped(request, one, services)
        await services.containers.start(one)
    return done()


async def _stopped(request: web.Request, one: OneContainer, services: Services) -> None:
    query = UrlQuery(request.query.items())
    default = one.spec.stop_signal or one.state.config.stop_signal or "SIGTERM"
    number = signal_number(query.first("signal") or default)
    after = PATIENCE_S if one.spec.stop_timeout is None else float(one.spec.stop_timeout)
    text = query.first("t")
    if text and not text.removeprefix("-").isdecimal():
        raise InvalidRequest(f"invalid value for t: {text}")
    after = float(text[:9]) if text else after
    await services.containers.stop(one, number, after if after >= 0 else 1e9)


async def kill(request: web.Request, services: Services) -> web.StreamResponse:
    name = request.match_info["name"]
    try:
        one = _found(request, services)
        number = signal_number(request.query.get("signal") or "SIGKILL")
        if not one.running:
            raise AlreadyExists(f"container {one.id} is not running")
    except CrozeError as error:
        raise type(error)(f"cannot kill container: {name}: {error}") from error
    await one.kill(number)
    services.events.emit("container", "kill", one.id, {"signal": str(number)})
    if number == signal.SIGKILL:
        await one.ended.wait()
    return done()


def signal_number(text: str) -> int:
    """The number of `SIGTERM`, `TERM` or `15`. Raises `InvalidRequest`."""
    if text.isdecimal() and len(text) < 4 and 0 < int(text) < signal.NSIG:
        return int(text)
    name = text.upper() if text.upper().startswith("SIG") else f"SIG{text.upper()}"
    for each in signal.Signals:
        if each.name == name:
            return int(each)
    raise InvalidRequest(f"invalid signal: {text}")


async def remove(request: web.Request, services: Services) -> web.StreamResponse:
    query = UrlQuery(request.query.items())
    refuse(request, {"link": "links between containers"})
    one = _found(request, services)
    if one.running and query.is_set("force"):
        await one.kill(signal.SIGKILL)
        await one.ended.wait()
    await services.containers.remove(one)
    return done()


async def rename(request: web.Request, services: Services) -> web.StreamResponse:
    """`POST /containers/{name}/rename`. A name that can't be written to disk is not taken on."""
    one = _found(request, services)
    name = request.query.get("name", "").removeprefix("/")
    if not name:
        raise InvalidRequest("Neither old nor new names may be empty")
    names.check(name)
    services.containers.check_free(name)
    one.state.name, before = name, one.state.name
    try:
        one.save()
    except BaseException:
        one.state.name = before
        raise
    return done()


async def resize(request: web.Request, services: Services) -> web.StreamResponse:
    one = _found(request, services)
    size = read_size(request)
    one.process  # noqa: B018 - there is no terminal without it
    one.input.resize(*size)
    return done(200)
