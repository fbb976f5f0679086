"""The routes, and what all of them have in common: versions, errors, and words for what is not
served."""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from croze.engineapi import absent, event_stream, hijack, networks, registries, system
from croze.engineapi.answers import Handler, check_version, error, of_error
from croze.engineapi.build import cache as build_cache
from croze.engineapi.build import routes as build_routes
from croze.engineapi.connections import Connections, accepting, room
from croze.engineapi.container_routes import archive, execs, routes, streams, usage
from croze.engineapi.container_routes.prune import prune_containers
from croze.engineapi.images import load, pull, push, removal, save
from croze.engineapi.images import routes as image_routes
from croze.engineapi.images.prune import prune_images
from croze.engineapi.services import Services
from croze.errors import CrozeError

log = logging.getLogger(__name__)

Serve = Callable[[web.Request, Services], Awaitable[web.StreamResponse]]

ROUTES: tuple[tuple[str, str, Serve], ...] = (
    ("GET", "/_ping", system.ping),
    ("HEAD", "/_ping", system.ping),
    ("GET", "/version", system.version),
    ("GET", "/info", system.info),
    ("GET", "/events", event_stream.events),
    ("GET", "/system/df", system.disk_usage),
    ("POST", "/auth", registries.auth),
    ("POST", "/grpc", hijack.grpc),
    ("POST", "/session", hijack.session),
    ("POST", "/build", build_routes.build),
    ("GET", "/build/cancel", build_routes.cancel),
    ("POST", "/build/cancel", build_routes.cancel),
    ("POST", "/build/prune", build_cache.prune),
    ("POST", "/commit", registries.commit),
    ("GET", "/distribution/{name:.+}/json", registries.distribution),
    ("GET", "/images/json", image_routes.list_images),
    ("GET", "/images/search", registries.search),
    ("POST", "/images/create", pull.create),
    ("POST", "/images/prune", prune_images),
    ("POST", "/images/load", load.load),
    ("GET", "/images/get", save.save_many),
    ("GET", "/images/{name:.+}/get", save.save_one),
    ("GET", "/images/{name:.+}/json", image_routes.inspect),
    ("GET", "/images/{name:.+}/history", image_routes.history),
    ("POST", "/images/{name:.+}/tag", image_routes.tag),
    ("POST", "/images/{name:.+}/push", push.push),
    ("DELETE", "/images/{name:.+}", removal.remove),
    ("GET", "/containers/json", routes.list_containers),
    ("POST", "/containers/create", routes.create),
    ("POST", "/containers/prune", prune_containers),
    ("GET", "/containers/{name:.+}/json", routes.inspect),
    ("GET", "/containers/{name:.+}/logs", streams.logs),
    ("GET", "/containers/{name:.+}/stats", usage.stats),
    ("GET", "/containers/{name:.+}/top", usage.top),
    ("POST", "/containers/{name:.+}/start", routes.start),
    ("POST", "/containers/{name:.+}/stop", routes.stop),
    ("POST", "/containers/{name:.+}/restart", routes.restart),
    ("POST", "/containers/{name:.+}/kill", routes.kill),
    ("POST", "/containers/{name:.+}/rename", routes.rename),
    ("POST", "/containers/{name:.+}/resize", routes.resize),
    ("POST", "/containers/{name:.+}/wait", streams.wait),
    ("POST", "/containers/{name:.+}/attach", streams.attach),
    ("HEAD", "/containers/{name:.+}/archive", archive.head),
    ("GET", "/containers/{name:.+}/archive", archive.get),
    ("PUT", "/containers/{name:.+}/archive", archive.put),
    ("GET", "/containers/{name:.+}/export", archive.export),
    ("POST", "/containers/{name:.+}/exec", execs.create),
    ("DELETE", "/containers/{name:.+}", routes.remove),
    ("GET", "/exec/{id}/json", execs.inspect),
    ("POST", "/exec/{id}/start", execs.start),
    ("POST", "/exec/{id}/resize", execs.resize),
    ("GET", "/networks", networks.networks),
    ("POST", "/networks/prune", networks.prune_networks),
    ("POST", "/volumes/prune", networks.prune_volumes),
    ("GET", "/networks/{name}", networks.network),
    ("GET", "/volumes", networks.volumes),
    ("DELETE", "/networks/{name}", networks.remove_network),
    ("GET", "/volumes/{name}", networks.volume),
    ("DELETE", "/volumes/{name}", networks.volume),
    ("GET", "/plugins", absent.plugins),
    ("GET", "/plugins/{name:.+}/json", absent.plugin),
    ("DELETE", "/plugins/{name:.+}", absent.plugin),
    ("GET", "/swarm", absent.swarm),
    *(("GET", f"/{kind}{rest}", absent.swarm) for kind in absent.SWARM for rest in ("", "/{id}")),
)
DOCKERS = (
    *("auth", "build", "commit", "configs", "containers", "distribution", "events", "exec"),
    *("grpc", "images", "info", "networks", "nodes", "plugins", "secrets", "services", "session"),
    *("swarm", "system", "tasks", "version", "volumes"),
)
"""The first part of every path that Docker's API has."""
VERSION = r"/v{version:[0-9]{1,9}(?:\.[0-9]{1,9}){0,3}}"
SHUTDOWN_S = 1.0
HEAD_BYTES = 1 << 20
"""As Go allows: a build's arguments and labels are in the request's first line."""
_malformed = logging.getLogger(f"{__name__}.malformed")
"""aiohttp's complaints are of what is no HTTP: its client is told so. Ours are caught here."""
_malformed.setLevel(logging.CRITICAL)


def application(services: Services, connections: Connections) -> web.Application:
    """All that is served, with and without a version in front of the path."""
    # Nothing is read whole into memory but bodies of a few bytes.
    app = web.Application(middlewares=[_common(services, connections)])
    for method, path, serve in ROUTES:
        for prefix in ("", VERSION):
            app.router.add_route(method, prefix + path, _bound(serve, services))
    app.router.add_route("*", VERSION + "{path:/.*}", _not_served)
    app.router.add_route("*", "/{path:.*}", _not_served)
    return app


def _bound(serve: Serve, services: Services) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        return await serve(request, services)

    return handler


async def _not_served(request: web.Request) -> web.StreamResponse:
    path = "/" + request.match_info["path"].lstrip("/")
    if path.split("/")[1] not in DOCKERS:
        return error("page not found", 404)
    return error(
        f"{request.method} {path} of Docker's API is not served here: croze builds images, keeps "
        "them, and runs a command in one",
        501,
    )


def _common(
    services: Services, connections: Connections
) -> Callable[..., Awaitable[web.StreamResponse]]:
    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        with services.in_use(), connections.busy(request):
            try:
                if version := request.match_info.get("version"):
                    check_version(version)
                return await handler(request)
            except CrozeError as raised:
                return of_error(raised)
            except web.HTTPException as raised:
                return error(raised.reason, raised.status)
            except ConnectionError as raised:
                log.debug("%s %s: %s", request.method, request.path, raised)
                return hijack.AnsweredOnStream()
            except Exception:
                log.exception("%s %s", request.method, request.path)
                return error("internal error: see the daemon's log", 500)

    return middleware


@asynccontextmanager
async def serving(
    sock: socket.socket, services: Services, context: ssl.SSLContext | None = None
) -> AsyncIterator[None]:
    """Serve on a bound socket, inside."""
    connections = Connections(room())
    runner = web.AppRunner(
        application(services, connections),
        access_log=None,
        shutdown_timeout=SHUTDOWN_S,
        logger=_malformed,
        handler_cancellation=True,  # nothing is built for a client that has gone
        max_line_size=HEAD_BYTES,
        max_field_size=HEAD_BYTES,
    )
    await runner.setup()
    assert runner.server is not None
    connections.serve_by(runner.server)
    try:
        async with accepting(connections, sock, context):
            yield
    finally:
        await runner.cleanup()
