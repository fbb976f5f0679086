"""The HTTP server behind the debug address. As in BuildKit, the address decides who may ask."""

from __future__ import annotations

import asyncio
import gc
import logging
import resource
import socket
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from aiohttp import web

from croze.aio.threads import in_thread
from croze.daemon.config.toml import Grpc
from croze.daemon.debug import keys, profiles, texts
from croze.daemon.debug.answers import json_answer, lines_sent, list_sent, text_answer
from croze.daemon.debug.flight import FlightRecorder
from croze.daemon.engine.engine import Engine
from croze.daemon.engine.opening import BuildServicesOpening
from croze.daemon.host.listen import own_socket
from croze.daemon.host.sockets import bind_tcp
from croze.daemon.telemetry.calls import WatchedCall
from croze.errors import InvalidRequest, os_message
from croze.gotypes import gojson
from croze.telemetry import prometheus

log = logging.getLogger(__name__)

CACHE_CONFIG_LIMIT_BYTES = 64 << 20
SHUTDOWN_S = 1.0
_EVENTS = 1000


class LogEvents(logging.Handler):
    """Keeps the last lines of the log."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: deque[str] = deque(maxlen=_EVENTS)
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))

    @contextmanager
    def listening(self) -> Iterator[None]:
        logging.getLogger().addHandler(self)
        try:
            yield
        finally:
            logging.getLogger().removeHandler(self)


class DebugPages:
    """The pages of the debug address."""

    def __init__(self, engine: Engine, opening: BuildServicesOpening, events: LogEvents) -> None:
        self._engine = engine
        self._opening = opening
        self._events = events

    def add_routes(self, app: web.Application) -> None:
        add = app.router.add_get
        add("/metrics", self._metrics)
        add("/debug/vars", self._vars)
        add("/debug/requests", self._requests)
        add("/debug/events", self._log)
        add("/debug/gc", self._gc)
        add("/debug/cache/all", self._cache_all)
        add("/debug/cache/lookup", self._cache_lookup)
        add("/debug/cache/store", self._cache_store)
        app.router.add_post("/debug/cache/load", self._cache_load)

    async def _metrics(self, request: web.Request) -> web.Response:
        await self._engine.history.settled()  # builds that are over are counted with their records
        text = prometheus.render(self._engine.telemetry.metrics)
        return web.Response(body=text.encode(), headers={"Content-Type": prometheus.CONTENT_TYPE})

    async def _vars(self, request: web.Request) -> web.Response:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        solver = (await self._opening.build_services()).solver
        return json_answer(
            {
                "cmdline": sys.orig_argv,
                "memstats": {
                    "HeapObjects": len(gc.get_objects()),
                    "MaxResident": usage.ru_maxrss * 1024,
                    "NumGC": sum(stat["collections"] for stat in gc.get_stats()),
                },
                "tasks": len(asyncio.all_tasks()),
                "vertices": solver.active_count(),
            }
        )

    async def _requests(self, request: web.Request) -> web.Response:
        calls = self._engine.telemetry.calls
        lines = ["Running:", *map(_running, calls.active), "", "Finished:"]
        return text_answer("\n".join([*lines, *map(_finished, reversed(calls.recent))]) + "\n")

    async def _log(self, request: web.Request) -> web.Response:
        return text_answer("".join(f"{line}\n" for line in self._events.lines))

    async def _gc(self, request: web.Request) -> web.Response:
        gc.collect()
        log.debug("triggered GC from debug endpoint")
        return web.Response()

    async def _cache_all(self, request: web.Request) -> web.StreamResponse:
        """Nothing without `--save-cache-debug`."""
        noted = self._engine.texts
        digests = noted.digests() if noted is not None else ()
        records = (each for digest in digests if (each := texts.find(noted, digest)) is not None)
        if _wants_json(request):
            return await list_sent(request, map(texts.as_json, records))
        lines = (line for record in records for line in (*texts.as_text(record), "\n"))
        return await lines_sent(request, lines)

    async def _cache_lookup(self, request: web.Request) -> web.StreamResponse:
        digest = request.query.get("digest", "")
        if not digest:
            raise web.HTTPBadRequest(text="digest query parameter is required\n")
        if not keys.DIGEST.fullmatch(digest):
            raise web.HTTPBadRequest(text="invalid digest: invalid checksum digest format\n")
        record = texts.find(self._engine.texts, digest)
        if record is None:
            text = f"failed to get digest {digest} from cache: not found\n"
            raise web.HTTPInternalServerError(text=text)
        if _wants_json(request):
            body = gojson.marshal(texts.as_json(record)) + b"\n"
            return web.Response(body=body, content_type="application/json")
        return await lines_sent(request, texts.as_text(record))

    async def _cache_store(self, request: web.Request) -> web.StreamResponse:
        store, graph = (await self._opening.build_services()).keys, keys.KeyGraph()
        for id in store.key_ids():
            graph.record(id)
        for source, link, target in store.links():
            graph.link(source, link, target)
        return await self._keys(request, graph)

    async def _cache_load(self, request: web.Request) -> web.StreamResponse:
        graph = await in_thread(keys.from_cache_config, await request.read())
        return await self._keys(request, graph)

    async def _keys(self, request: web.Request, graph: keys.KeyGraph) -> web.StreamResponse:
        def known(digests: Iterable[str]) -> list[texts.TextRecord]:
            return texts.find_all(self._engine.texts, digests)

        if _wants_json(request):
            return await list_sent(request, keys.as_json(graph.records(), known))
        return await lines_sent(request, keys.as_text(graph.records(), known))


def _running(call: WatchedCall) -> str:
    return f"{_moment(call)}  {time.time() - call.started_s:10.3f}s  {call.method}"


def _finished(call: WatchedCall) -> str:
    return f"{_moment(call)}  {call.took_s:10.3f}s  {call.method}  {call.code}"


def _moment(call: WatchedCall) -> str:
    return datetime.fromtimestamp(call.started_s, UTC).isoformat(timespec="milliseconds")


def _wants_json(request: web.Request) -> bool:
    return request.headers.get("Accept") == "application/json"


@web.middleware
async def _bad_requests(request: web.Request, handler: profiles.Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except InvalidRequest as error:
        raise web.HTTPBadRequest(text=f"{error}\n") from error


@asynccontextmanager
async def debugging(
    engine: Engine, opening: BuildServicesOpening, address: str
) -> AsyncIterator[None]:
    """Serve inside; profiles under way keep nobody from the end. Raises `InvalidRequest` if the
    address can't be had."""
    events, flight = LogEvents(), FlightRecorder()
    app = web.Application(client_max_size=CACHE_CONFIG_LIMIT_BYTES, middlewares=[_bad_requests])
    DebugPages(engine, opening, events).add_routes(app)
    profiles.add_routes(app)
    flight.add_routes(app)
    runner = web.AppRunner(
        app, access_log=None, shutdown_timeout=SHUTDOWN_S, handler_cancellation=True
    )
    with _bound(address, engine.settings.config.grpc) as sock:
        await runner.setup()
        try:
            await web.SockSite(runner, sock).start()
            log.debug("debug handlers listening at %s", address)
            with events.listening():
                yield
        finally:
            flight.close()
            await runner.cleanup()


@contextmanager
def _bound(address: str, config: Grpc) -> Iterator[socket.socket]:
    """A listening socket; the file of one is for the daemon's user and group."""
    scheme, separator, rest = address.rpartition("://")
    if separator and scheme not in ("tcp", "unix"):
        raise InvalidRequest(f"invalid debug address {address}: use tcp:// or unix://")
    if scheme != "unix":
        with bind_tcp(rest) as sock:
            yield sock
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as sock:

        def bind() -> None:
            try:
                sock.bind(rest)
                sock.listen()
            except OSError as error:
                why = os_message(error)
                raise InvalidRequest(f"cannot listen on {address}: {why}") from error

        with own_socket(Path(rest), config, bind, "--debugaddr"):
            yield sock
