"""Transfers of directories that begin before anybody wants them: what a build asked for the last
time, while it is still being found out whether it asks for the same again.

Whoever wants a directory takes what is on its way if it is the very same that is asked for. What
nobody has taken soon, or before the build is over, ends, and so it does when another transfer wants
its place: nobody else can write to a directory that it has found.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

from croze.aio.parallel import task_group
from croze.aio.threads import finish
from croze.errors import CrozeError
from croze.session.contract import Session, SessionManager
from croze.sources.contract import Prefetch
from croze.sources.local.options import SCHEME, LocalOptions, parse_options
from croze.sources.local.transfer import DirectoryTransfer
from croze.sources.request import SourceRequest
from croze.status import Progress
from croze.store.contract import ImmutableRef, RefStore
from croze.workers.pool import Pool

log = logging.getLogger(__name__)

FRESH_S: Final = 0.5
"""What was begun longer ago is given up: the client may have changed something meanwhile, and would
expect that to count."""


class _Prefetched:
    """One transfer, and who waits for it."""

    def __init__(
        self, transfer: DirectoryTransfer, task: asyncio.Task[ImmutableRef | None]
    ) -> None:
        self._transfer = transfer
        self._task = task
        self._began = time.monotonic()
        self._is_over = False

    @property
    def is_fresh(self) -> bool:
        return not self._is_over and time.monotonic() - self._began < FRESH_S

    async def take(self, progress: Progress) -> ImmutableRef | None:
        """What has come; None if that failed, or was given up. The handle is the caller's. A caller
        that is cancelled takes the transfer along."""
        self._transfer.meter.show(progress)
        self._transfer.wanted.set()
        try:
            await asyncio.wait([self._task])
        except asyncio.CancelledError:
            await finish(self.drop())
            raise
        return None if self._task.cancelled() else self._task.result()

    def cancel(self) -> None:
        self._task.cancel()

    async def drop(self) -> None:
        """End it; nothing of it is left. Idempotent."""
        self._is_over = True
        self._task.cancel()
        await asyncio.wait([self._task])
        ref = None if self._task.cancelled() else self._task.result()
        if ref is not None:
            await ref.release()


class LocalPrefetches:
    """All transfers of a daemon that have begun before somebody wanted them, by what they ask
    for."""

    def __init__(self, refs: RefStore, sessions: SessionManager, pool: Pool) -> None:
        self._refs = refs
        self._sessions = sessions
        self._pool = pool
        self._transfers: dict[LocalOptions, _Prefetched] = {}

    @asynccontextmanager
    async def prefetching(self) -> AsyncIterator[Prefetch]:
        """What may begin transfers for one build. All that nobody has taken by the end of the block
        ends."""
        begun: dict[LocalOptions, _Prefetched] = {}
        timers: list[asyncio.TimerHandle] = []
        loop = asyncio.get_running_loop()
        async with task_group() as group:

            def give_up(options: LocalOptions, prefetched: _Prefetched) -> None:
                group.create_task(self._drop(options, prefetched))

            def prefetch(request: SourceRequest) -> None:
                options = _suitable(request)
                if options is None or options in self._transfers or options in begun:
                    return
                session = self._sessions.current(options.session)
                if session is None:
                    return
                transfer = DirectoryTransfer(options, self._refs, self._pool)
                task = group.create_task(_bring(transfer, session))
                prefetched = self._transfers[options] = begun[options] = _Prefetched(transfer, task)
                timers.append(loop.call_later(FRESH_S, give_up, options, prefetched))

            try:
                yield prefetch
            finally:
                for timer in timers:
                    timer.cancel()
                await self._end(begun)

    async def _end(self, begun: Mapping[LocalOptions, _Prefetched]) -> None:
        """End what was begun; of what another build has taken, that one makes its own."""
        for options, prefetched in begun.items():
            prefetched.cancel()
            await self._drop(options, prefetched)

    async def _drop(self, options: LocalOptions, prefetched: _Prefetched) -> None:
        """End it, unless somebody has taken it."""
        if self._transfers.get(options) is prefetched:
            await finish(prefetched.drop())
        # Not before: who wants its place waits for that.
        if self._transfers.get(options) is prefetched:
            del self._transfers[options]

    async def take(self, options: LocalOptions, progress: Progress) -> ImmutableRef | None:
        """What is on its way of these, if it was begun just now. Another transfer into the same
        place is over when this returns."""
        prefetched = self._transfers.get(options)
        if prefetched is not None and prefetched.is_fresh:
            del self._transfers[options]
            return await prefetched.take(progress)
        for other in [each for each in self._transfers if _same_place(each, options)]:
            if (prefetched := self._transfers.pop(other, None)) is not None:
                await finish(prefetched.drop())
        return None


async def _bring(transfer: DirectoryTransfer, session: Session) -> ImmutableRef | None:
    """What goes wrong, whatever it is, is told by the transfer that is made instead."""
    try:
        return await transfer.bring(session)
    except Exception as error:
        log.debug("what was begun ahead of session %s failed: %s", session.id, error)
        return None


def _suitable(request: SourceRequest) -> LocalOptions | None:
    if not request.identifier.startswith(f"{SCHEME}://"):
        return None
    try:
        options = parse_options(request)
    except CrozeError:
        return None
    return options if options.session and not options.metadata_only else None


def _same_place(one: LocalOptions, other: LocalOptions) -> bool:
    return (one.name, one.shared_key_hint, one.session) == (
        other.name,
        other.shared_key_hint,
        other.session,
    )
