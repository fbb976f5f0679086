"""Docker's own API on a socket of its own (`croze.engineapi`), if one is asked for."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from croze.daemon.engine import Engine
from croze.daemon.inner import InnerPort
from croze.daemon.listen import own_socket
from croze.daemon.run_image import open_image
from croze.errors import InvalidRequest


@asynccontextmanager
async def docker_api(engine: Engine, inner: InnerPort) -> AsyncIterator[None]:
    """Serve inside. Enter before the gRPC server starts. Raises `InvalidRequest` if the address
    can't be had."""
    settings = engine.settings
    if not settings.docker_api:
        yield
        return
    from croze.engineapi.app import serving
    from croze.engineapi.containers.manager import Containers
    from croze.engineapi.contract import Machine, Services
    from croze.engineapi.events import Events
    from croze.engineapi.running import Running
    from croze.engineapi.uploads import Uploads

    inner.open()
    path = Path(settings.docker_api.removeprefix("unix://"))
    events = Events(engine.store.images)
    containers = Containers(
        settings.root / "containers",
        engine.store.refs,
        engine.executor,
        events,
        lambda name, platform: open_image(engine, name, platform),
    )
    services = Services(
        machine=Machine(
            id=engine.worker.id,
            root=settings.root,
            snapshotter=engine.worker.snapshotter,
            platforms=engine.worker.platforms,
            debug=settings.debug,
        ),
        blobs=engine.store.blobs,
        images=engine.store.images,
        refs=engine.store.refs,
        sessions=engine.sessions,
        access=engine.images.access,
        connect=inner.connect,
        channel=inner.channel,
        running=Running(),
        uploads=Uploads(),
        events=events,
        containers=containers,
        in_use=engine.activity.one,
    )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as sock:

        def bind() -> None:
            try:
                sock.bind(str(path))
            except OSError as error:
                raise InvalidRequest(f"cannot listen on {settings.docker_api}: {error}") from error

        with own_socket(path, settings.config.grpc, bind, "--docker-api"):
            async with containers.running(), serving(sock, services):
                yield
