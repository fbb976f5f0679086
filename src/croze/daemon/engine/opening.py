"""How what builds use (`daemon.engine.build_services`) is opened, once the daemon answers."""

from __future__ import annotations

import asyncio
import gc
import importlib
import logging
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from croze.aio.threads import in_thread
from croze.daemon.engine.activity import Activity
from croze.daemon.engine.engine import Engine
from croze.errors import CrozeError, Unavailable, noted
from croze.rpc.status import as_croze_error
from croze.workers.memory import SpareMemory, pace_collector

if TYPE_CHECKING:
    from croze.daemon.engine.build_services import BuildServices
    from croze.store.snapshots.settled import Eras

log = logging.getLogger(__name__)

PAUSE_S: Final = 0.3
"""For how long others go first, unless somebody wants to build: who has waited for the daemon has
something to ask, and has yet to connect."""
REST_S: Final = 0.25
"""When nothing has been under way for so long, there is time to tidy up."""
LONG_REST_S: Final = 5.0
SETTLED_REST_S: Final = 10.0
SETTLED_LATEST_S: Final = 300.0
PARTS: Final = (
    "croze.daemon.services.control",
    "croze.api.control_pb2_grpc",
    "croze.daemon.telemetry.calls",
    "pickle",
    "croze.llb",
    "croze.session.manager",
    "croze.session.filesync",
    "croze.store.refs",
    "croze.fs.sync.local",
    "croze.sources.local.source",
    "croze.runtime.oci",
    "croze.ops.exec",
    "croze.ops.resolver",
    "croze.solver.solver",
    "croze.registry.client",
    "croze.sources.images",
    "croze.attest.capture",
    "croze.gateway.contract",
    "croze.gateway.dockerfile_frontend",
    "croze.remotecache.exporter",
    "croze.sources.git.source",
    "croze.sources.http",
    "croze.gateway.frontends",
    "croze.why.plan",
    "croze.daemon.engine.frontends",
    "croze.remotecache.mounts.services",
    "croze.daemon.engine.build_services",
    "croze.daemon.build.provenance",
    "croze.daemon.build.sboms",
    "croze.daemon.build.build",
)
"""What is loaded one after the other, so that the event loop has its turns in between."""


class BuildServicesOpening:
    """Waited for by those who want to build."""

    def __init__(self) -> None:
        self._wanted = asyncio.Event()
        self._build_services: asyncio.Future[BuildServices] = (
            asyncio.get_running_loop().create_future()
        )
        self.failure: Exception | None = None
        """What has prevented it: the daemon can only end."""

    async def build_services(self) -> BuildServices:
        """The services, as soon as they are open. Raises `Unavailable` if they can't be."""
        self._wanted.set()
        return await asyncio.shield(self._build_services)

    async def forget_lost(self) -> None:
        """See `Solver.forget_lost`."""
        await (await self.build_services()).solver.forget_lost()

    async def keep(self, engine: Engine, on_failure: Callable[[], None]) -> None:
        """Open them, and close them when this is cancelled. What prevents it is a failure (see
        `fail`), and `on_failure` is called."""
        try:
            await self._keep(engine)
        except Exception as error:
            self.fail(error)
            on_failure()

    def fail(self, error: Exception) -> None:
        """Log why they can't be opened, and tell all who want to build, now or later."""
        why = noted(error) if isinstance(error, sqlite3.Error) else as_croze_error(error)
        log.error("can't build: %s", why)
        self.failure = error
        if not self._build_services.done():
            self._build_services.set_exception(Unavailable(f"this daemon can't build: {why}"))
            self._build_services.exception()  # it is known, even if nobody asks

    async def _keep(self, engine: Engine) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(PAUSE_S):
                await self._wanted.wait()
        for name in PARTS:
            importlib.import_module(name)
            await asyncio.sleep(0)
        from croze.daemon.engine.build_services import open_build_services
        from croze.fs.temporary import sweep_temporary

        async with open_build_services(engine) as services:
            settle_memory()
            self._build_services.set_result(services)
            await in_thread(sweep_temporary)
            async with asyncio.TaskGroup() as group:
                group.create_task(keep_settled(engine.store.eras, engine.builds))
                await give_back_memory(engine.builds)


async def keep_settled(eras: Eras, builds: Activity) -> None:
    """Have the disk take what builds have written when none has been under way for a while, or when
    there has always been one for long, until this is cancelled."""
    while True:
        await eras.written()
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLED_LATEST_S):
                await builds.wait_idle(SETTLED_REST_S)
        try:
            await eras.settle()
        except (CrozeError, OSError) as error:
            log.warning("the disk does not take what has been written: %s", error)
            await asyncio.sleep(SETTLED_LATEST_S)


def settle_memory() -> None:
    """What is loaded now stays: keep Python's collector, which has been off until now, from going
    through it again and again.

    A build leaves some hundred objects to the collector, however large it is (its graph comes apart
    when it ends, `solver.vertex`), and they are found while they are young. A look at all there is
    takes a build of 10,000 vertices a third of its time, and more than in proportion as builds
    grow: there is one when millions of objects have come to stay."""
    gc.freeze()
    gc.enable()
    pace_collector(0)


async def give_back_memory(builds: Activity) -> None:
    """Let the kernel have what builds leave over, until this is cancelled: as soon as none is under
    way, before the first, too; and once more later, for what of a build ends after it."""
    spare = SpareMemory()
    while True:
        await builds.wait_idle(REST_S)
        pace_collector(0)
        count = builds.begun
        await in_thread(spare.give_back)
        with suppress(TimeoutError):
            async with asyncio.timeout(LONG_REST_S):
                await builds.wait_begun(count)
        if builds.begun == count:
            await in_thread(spare.trim)
            await builds.wait_begun(count)
