"""Serve: open the engine, listen, say so, and leave in good order."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, suppress
from pathlib import Path

from croze.daemon.config.settings import Settings
from croze.daemon.engine.engine import Engine, running
from croze.daemon.engine.opening import BuildServicesOpening
from croze.daemon.host.helper import HostHelper
from croze.daemon.host.listen import Listeners, listening
from croze.daemon.services.registration import add_services
from croze.files.installation import take_any_installation
from croze.rpc.call import ServerCall
from croze.rpc.server import Patience, Server

log = logging.getLogger(__name__)

BUILD_GRACE_S = 30 * 24 * 3600.0
STOP_GRACE_S = 1.0
"""For what clients still have to do once their builds are over."""
ECHO_S = 0.2
ADDRESSES = "crozed.addresses"
"""Name of the file below the root that says where the daemon listens; `drivers.local` reads it."""


async def serve(settings: Settings, helper: HostHelper) -> None:
    """Run until a signal or, if so set, until idle; then until no build is under way any more.
    Raises what prevents it, also from building once it has answered."""
    stop, opening = Shutdown(), BuildServicesOpening()
    with stop.on_signals():
        async with (
            running(settings, helper, opening.forget_lost) as engine,
            asyncio.TaskGroup() as group,
        ):
            server = make_server(engine, opening)
            async with (
                engine.running.open(),
                docker_address(engine, opening, server),
                debug_address(engine, opening, settings.config.grpc.debug_address),
                listening(server, settings.addresses, settings.config.grpc) as listeners,
            ):
                loops = [
                    group.create_task(engine.gc.run()),
                    group.create_task(engine.history.run()),
                ]
                leaving = group.create_task(leave_when_idle(engine, settings, stop))
                with announced(settings):
                    engine.pools.start()
                    keeping = group.create_task(opening.keep(engine, stop.ask))
                    await stop.wanted.wait()
                log.info("stopping server")
                notify_systemd(b"STOPPING=1")
                await stop_serving(server, engine, stop, listeners)
                take_any_installation()
                for loop in loops:
                    loop.cancel()
                leaving.cancel()
            keeping.cancel()
    log.info("stopped")
    if opening.failure is not None:
        raise opening.failure


@asynccontextmanager
async def docker_address(
    engine: Engine, opening: BuildServicesOpening, server: Server
) -> AsyncIterator[None]:
    """Serve Docker's own API, if there is an address for it."""
    if not engine.settings.docker_api:
        yield
        return
    from croze.daemon.services.docker_api import docker_api

    async with docker_api(engine, opening, server):
        yield


@asynccontextmanager
async def debug_address(
    engine: Engine, opening: BuildServicesOpening, address: str
) -> AsyncIterator[None]:
    """Serve what developers look at, if there is an address for it."""
    if not address:
        yield
        return
    from croze.daemon.debug.server import debugging

    async with debugging(engine, opening, address):
        yield


class Shutdown:
    """The wish to end: a first signal waits for builds, a second doesn't, a third ends all now."""

    def __init__(self) -> None:
        self.wanted = asyncio.Event()
        self.forced = asyncio.Event()
        self._asked_at = -ECHO_S

    def on_signal(self) -> None:
        """Take a signal for a wish to end, unless it is an echo: systemd signals all of a service,
        and RootlessKit's two processes pass on what they get."""
        now = asyncio.get_running_loop().time()
        if now - self._asked_at >= ECHO_S:
            self._asked_at = now
            self.ask()

    def ask(self) -> None:
        """Count one more wish to end."""
        if self.forced.is_set():
            log.error("got 3 SIGTERM/SIGINTs, forcibly terminating")
            os._exit(1)
        if self.wanted.is_set():
            self.forced.set()
        self.wanted.set()

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """SIGTERM and SIGINT are wishes, inside. Afterwards there is nothing left to end."""
        loop = asyncio.get_running_loop()
        numbers = (signal.SIGTERM, signal.SIGINT)
        for number in numbers:
            loop.add_signal_handler(number, self.on_signal)
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)
                signal.signal(number, signal.SIG_IGN)


async def stop_serving(
    server: Server, engine: Engine, stop: Shutdown, listeners: Listeners
) -> None:
    """Take no new calls; end when no build is under way any more, or when asked again."""
    listeners.refuse()
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(server.stop(BUILD_GRACE_S))
        waits = [
            group.create_task(engine.builds.wait_idle(0)),
            group.create_task(stop.forced.wait()),
        ]
        await asyncio.wait([serving, *waits], return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        await engine.history.hang_up()
        await server.stop(0 if stop.forced.is_set() else STOP_GRACE_S)


def make_server(engine: Engine, opening: BuildServicesOpening) -> Server:
    """All services on one server."""

    def watching(method: str, call: ServerCall) -> AbstractContextManager[None]:
        return engine.telemetry.calls.watching(method, call)

    server = Server(watching, patience=Patience(), is_crozed=True)
    add_services(server, engine, opening)
    return server


async def leave_when_idle(engine: Engine, settings: Settings, stop: Shutdown) -> None:
    """End the daemon once nothing has been under way for long: for one that was started on
    demand."""
    if settings.idle_timeout_s > 0:
        await engine.activity.wait_idle(settings.idle_timeout_s)
        log.info("nobody needs me any more")
        stop.ask()


@contextmanager
def announced(settings: Settings) -> Iterator[None]:
    """Tell whoever waits that we listen: a pipe's reader, systemd, the log; and, while inside,
    whoever wants a daemon on our root."""
    (settings.root / "crozed.pid").write_text(f"{os.getpid()}\n", encoding="ascii")
    addresses = settings.root / ADDRESSES
    addresses.write_text("".join(f"{a}\n" for a in settings.addresses), encoding="utf-8")
    if settings.ready_fd is not None:
        with suppress(OSError):
            os.write(settings.ready_fd, b"1")
            os.close(settings.ready_fd)
    notify_systemd(b"READY=1")
    for address in settings.addresses:
        log.info("running server on %s", address)
    if settings.docker_api:
        log.info("serving Docker's API on %s", settings.docker_api)
    try:
        yield
    finally:
        addresses.unlink(missing_ok=True)


def notify_systemd(message: bytes) -> None:
    """Send a message to systemd as sd_notify(3) does, without the library."""
    target = os.environ.get("NOTIFY_SOCKET")
    if not target:
        return
    address = "\0" + target[1:] if target.startswith("@") else str(Path(target))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out, suppress(OSError):
        out.sendto(message, address)
