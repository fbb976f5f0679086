"""A running daemon, as far as it has to be there to answer: its state and its history. What builds
are made with comes after it (`daemon.engine.build_services`).

Here and there everything is put together: the places that know which implementation stands for
which contract. Read them from top to bottom to see what a running daemon consists of.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec import Struct, field

from croze.daemon.config.settings import Settings
from croze.daemon.engine import preflight
from croze.daemon.engine.activity import Activity
from croze.daemon.engine.content import ContentServices, open_content
from croze.daemon.engine.running import RunningBuilds
from croze.daemon.host.helper import HostHelper
from croze.daemon.telemetry.telemetry import Telemetry, measuring
from croze.daemon.worker.gc import GarbageCollector
from croze.daemon.worker.gc_policies import gc_policies
from croze.dockerfile import work as dockerfiles
from croze.history.history import BuildHistory, Expiry
from croze.store.open import Store
from croze.workers.crew import WorkerCrew
from croze.workers.pool import FILE_WORK, WorkerPool

if TYPE_CHECKING:
    from croze.daemon.worker.record import Worker
    from croze.session.manager import Sessions
    from croze.store.digest_texts import DigestTexts

READERS = 32
"""How many Dockerfiles are read at once. Each waits for base images and contexts meanwhile."""


class Pools(Struct, frozen=True):
    """Worker processes. They work without having been started; what is started is warm when it is
    needed."""

    crew: WorkerCrew
    files: WorkerPool
    readers: WorkerPool
    """For Dockerfiles, whose workers wait more than they work."""

    def start(self) -> None:
        """Have some get warm."""
        self.crew.start()


class Engine(Struct, dict=True):
    """The parts of a running daemon."""

    settings: Settings
    helper: HostHelper
    content: ContentServices
    pools: Pools
    gc: GarbageCollector
    history: BuildHistory
    telemetry: Telemetry
    texts: DigestTexts | None = None
    """What cache keys are made of, if that is kept."""
    provenance_env: Mapping[str, object] = field(default_factory=dict)
    """What provenance says of the builder besides."""
    activity: Activity = field(default_factory=Activity)
    """Builds and sessions."""
    builds: Activity = field(default_factory=Activity)
    running: RunningBuilds = field(default_factory=RunningBuilds)

    @cached_property
    def worker(self) -> Worker:
        """What clients are told of this machine."""
        from croze.daemon.worker.record import this_worker

        return this_worker(self.settings, self.store.snapshotter, self.gc.policies)

    @property
    def store(self) -> Store:
        return self.content.store

    @property
    def sessions(self) -> Sessions:
        return self.content.sessions


@asynccontextmanager
async def running(
    settings: Settings, helper: HostHelper, forget_lost: Callable[[], Awaitable[None]]
) -> AsyncIterator[Engine]:
    """All that answers need, opened; on the way out it is closed in the opposite order.
    `forget_lost` is called when the garbage collector has removed something."""
    async with AsyncExitStack() as stack:
        stack.callback(helper.close)
        preflight.check(settings.config.worker.oci, settings.config.otel.socket_path)
        telemetry = await stack.enter_async_context(measuring(os.environ))
        pools = _pools(settings, stack)
        content = await open_content(settings, pools.files, helper, stack)
        policies = gc_policies(settings.config.worker.oci, settings.root)
        gc = GarbageCollector(lambda: content.store.refs, policies, forget_lost)
        yield Engine(
            settings=settings,
            helper=helper,
            content=content,
            pools=pools,
            gc=gc,
            history=await stack.enter_async_context(_history(settings, content.store)),
            telemetry=telemetry,
            texts=_texts(settings, stack),
            provenance_env=_facts(settings.provenance_dir),
        )


WORK: Final = (*dockerfiles.MODULES, *FILE_WORK, "croze.ops.file_steps")
"""What the workers of a build load."""


def _pools(settings: Settings, stack: AsyncExitStack) -> Pools:
    """All workers come from one process, which has loaded what each of them may need: it is in
    memory once. Who has read a Dockerfile copies the context next."""
    crew = WorkerCrew(WORK, max(2, settings.workers))
    stack.callback(crew.close)
    pools = Pools(
        crew=crew,
        files=WorkerPool(settings.workers, crew=crew),
        readers=WorkerPool(READERS, crew=crew),
    )
    stack.push_async_callback(pools.files.close)
    stack.push_async_callback(pools.readers.close)
    return pools


def _texts(settings: Settings, stack: AsyncExitStack) -> DigestTexts | None:
    """What cache keys are made of, if somebody wants to look."""
    if not settings.save_cache_debug:
        return None
    from croze.store.digest_texts import keeping_texts

    return stack.enter_context(keeping_texts(settings.root))


def _history(settings: Settings, store: Store) -> BuildHistory:
    limits = settings.config.history
    expiry = Expiry(limits.max_age.seconds, limits.max_entries) if limits else Expiry()
    return BuildHistory(store, expiry)


def _facts(folder: Path) -> Mapping[str, object]:
    """What the administrator has provenance say of the builder besides."""
    if not folder.is_dir():
        return {}
    from croze.attest.builder_facts import read_facts

    return read_facts(folder)
