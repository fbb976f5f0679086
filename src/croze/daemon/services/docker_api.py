"""Docker's own API on a socket of its own (`croze.engineapi`).

The socket is there from the start; what serves it is loaded with the first client.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from croze.aio.parallel import meanwhile
from croze.aio.threads import in_thread
from croze.daemon.engine.engine import Engine
from croze.daemon.engine.opening import BuildServicesOpening
from croze.daemon.host.listen import own_socket
from croze.daemon.host.sockets import bind_tcp, passed_sockets, tls_context
from croze.errors import CrozeError, InvalidRequest, os_message
from croze.rpc.server import Server

log = logging.getLogger(__name__)

CONTAINERS = "containers"

if TYPE_CHECKING:
    from croze.daemon.engine.build_services import BuildServices
    from croze.engineapi.services import Services
    from croze.rpc.channel import Channel


@asynccontextmanager
async def docker_api(
    engine: Engine, opening: BuildServicesOpening, server: Server
) -> AsyncIterator[None]:
    """Serve inside. Raises `InvalidRequest` if the address can't be had."""
    with _bound(engine) as (sock, context):
        async with meanwhile() as beside:
            beside.begin(_serve(engine, opening, server, sock, context))
            yield


@contextmanager
def _bound(engine: Engine) -> Iterator[tuple[socket.socket, ssl.SSLContext | None]]:
    """A socket to serve on."""
    settings = engine.settings
    config = msgspec.structs.replace(settings.config.grpc, gid=settings.docker_api_gid)
    if settings.docker_api.startswith("tcp://"):
        context = tls_context(config.tls, "http/1.1")
        with bind_tcp(settings.docker_api.removeprefix("tcp://")) as sock:
            yield sock, context
        return
    if settings.docker_api.startswith("fd://"):
        with _passed(settings.docker_api) as sock:
            yield sock, None
        return
    path = Path(settings.docker_api.removeprefix("unix://"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as sock:

        def bind() -> None:
            try:
                sock.bind(str(path))
                sock.listen()
            except OSError as error:
                why = os_message(error)
                raise InvalidRequest(f"cannot listen on {settings.docker_api}: {why}") from error

        with own_socket(path, config, bind, "--docker-api"):
            yield sock, None


@contextmanager
def _passed(address: str) -> Iterator[socket.socket]:
    """The Unix socket that systemd holds, and keeps. Raises `InvalidRequest`."""
    with ExitStack() as stack:
        passed = passed_sockets(address.removeprefix("fd://"))
        for each in passed:
            stack.enter_context(each)
        if len(passed) != 1 or passed[0].family != socket.AF_UNIX:
            raise InvalidRequest(f"--docker-api {address}: name one Unix socket that is passed")
        yield passed[0]


async def _serve(
    engine: Engine,
    opening: BuildServicesOpening,
    server: Server,
    sock: socket.socket,
    context: ssl.SSLContext | None,
) -> None:
    """Serve from the first client on, until cancelled."""
    sock.setblocking(False)
    if not await in_thread(_has_containers, engine.settings.root):
        await _somebody(sock)
    try:
        async with AsyncExitStack() as stack:
            with engine.activity.one():  # somebody waits for it
                await _enter(stack, await opening.build_services(), server, sock, context)
            await asyncio.Event().wait()
    except CrozeError as error:
        log.error("Docker's API is no longer served: %s", error)
    except Exception:  # the daemon builds on for its other clients
        log.exception("Docker's API is no longer served")


async def _enter(
    stack: AsyncExitStack,
    build_services: BuildServices,
    server: Server,
    sock: socket.socket,
    context: ssl.SSLContext | None,
) -> None:
    """Load what serves the API, which takes a while, and serve on the socket."""
    from croze.daemon.services.own_channel import own_channel
    from croze.engineapi.app import serving

    folder = build_services.engine.settings.root / "inner"
    channel = await stack.enter_async_context(own_channel(server, folder))
    services = _services(build_services, server, channel)
    await stack.enter_async_context(services.containers.running())
    await stack.enter_async_context(serving(sock, services, context))


def _has_containers(root: Path) -> bool:
    """Whether there are some, whose files are to be kept from the garbage collection."""
    folder = root / CONTAINERS
    return folder.is_dir() and any(folder.iterdir())


async def _somebody(sock: socket.socket) -> None:
    """Wait until there is a client."""
    came = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(sock, came.set)
    try:
        await came.wait()
    finally:
        loop.remove_reader(sock)


def _services(build_services: BuildServices, server: Server, channel: Channel) -> Services:
    from croze.daemon.services.run_image import open_image
    from croze.engineapi.containers.manager import Containers
    from croze.engineapi.events import EventLog
    from croze.engineapi.running_builds import NamedBuilds
    from croze.engineapi.services import DaemonInfo, Services
    from croze.engineapi.uploads import Uploads

    engine = build_services.engine
    settings, store = engine.settings, engine.store
    events = EventLog(store.images)
    return Services(
        machine=DaemonInfo(
            id=engine.worker.id,
            root=settings.root,
            snapshotter=engine.worker.snapshotter,
            platforms=engine.worker.platforms,
            debug=settings.debug,
            host_gateway=engine.worker.host_gateway,
        ),
        blobs=store.blobs,
        images=store.images,
        refs=store.refs,
        sessions=engine.sessions,
        access=build_services.images.access,
        serve=server.serve,
        channel=channel,
        running=NamedBuilds(),
        uploads=Uploads(),
        events=events,
        containers=Containers(
            settings.root / CONTAINERS,
            store.refs,
            build_services.executor,
            events,
            lambda name, platform: open_image(build_services, name, platform),
            engine.activity.one,
            engine.worker.host_gateway,
        ),
        in_use=engine.activity.one,
    )
