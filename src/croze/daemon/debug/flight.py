"""`/debug/flight/trace`: samples of the last seconds, always at hand once started."""

from __future__ import annotations

from aiohttp import web

from croze.daemon.config.sizes import Duration
from croze.daemon.debug.sampler import StackSampler
from croze.errors import InvalidRequest

PERIOD_S = 10.0


class FlightRecorder:
    """Samples of the last seconds, kept while it runs. Status codes and texts are BuildKit's
    (`cmd/buildkitd/debug_flight.go`)."""

    def __init__(self) -> None:
        self._sampler = StackSampler(PERIOD_S)

    def add_routes(self, app: web.Application) -> None:
        path = "/debug/flight/trace"
        app.router.add_post(f"{path}/start", self._start)
        app.router.add_post(f"{path}/stop", self._stop)
        app.router.add_post(f"{path}/set_period", self._set_period)
        app.router.add_get(path, self._trace)

    def close(self) -> None:
        self._sampler.stop()

    async def _start(self, request: web.Request) -> web.Response:
        if self._sampler.running:
            raise web.HTTPConflict(text="flight recorder is already running\n")
        self._sampler.start()
        return web.Response()

    async def _stop(self, request: web.Request) -> web.Response:
        if not self._sampler.running:
            raise web.HTTPConflict(text="flight recorder is not running\n")
        self._sampler.stop()
        return web.Response()

    async def _set_period(self, request: web.Request) -> web.Response:
        if self._sampler.running:
            text = "flight recorder is running, stop it to change its period\n"
            raise web.HTTPPreconditionFailed(text=text)
        period = {**request.query, **(await request.post())}.get("period", "")
        try:
            self._sampler.period_s = Duration.parse(period).seconds
        except InvalidRequest as error:
            text = f"invalid flight recorder period: {error}\n"
            raise web.HTTPBadRequest(text=text) from error
        return web.Response()

    async def _trace(self, request: web.Request) -> web.Response:
        if not self._sampler.running:
            text = "could not write in-flight trace: flight recorder is not running\n"
            raise web.HTTPInternalServerError(text=text)
        return web.Response(
            text=self._sampler.folded(),
            headers={"Content-Disposition": 'attachment; filename="trace"'},
        )
