"""`local://`: a directory that a client lends, kept between builds and only brought up to date."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager

from croze.errors import CrozeError, NotFound
from croze.session.contract import Session, SessionManager
from croze.sources.contract import Prefetch, Source, SourceContext, SourceKey
from croze.sources.local.options import SCHEME, LocalOptions, local_key, parse_options
from croze.sources.local.prefetch import LocalPrefetches
from croze.sources.local.transfer import DirectoryTransfer
from croze.sources.materials import LocalMaterial, UsedMaterial
from croze.sources.request import SourceRequest
from croze.status import Progress
from croze.store.contract import ImmutableRef, RefStore
from croze.workers.pool import Pool


class LocalSource:
    """One client's directory for one vertex."""

    def __init__(
        self,
        options: LocalOptions,
        refs: RefStore,
        sessions: SessionManager,
        pool: Pool,
        prefetches: LocalPrefetches,
    ) -> None:
        self._options = options
        self._refs = refs
        self._sessions = sessions
        self._pool = pool
        self._prefetches = prefetches

    async def key(self, ctx: SourceContext, index: int) -> SourceKey:
        """See `Source.key`."""
        session = self._options.session or next(iter(ctx.sessions), "")
        if not session:
            raise CrozeError("could not access local files without session")
        key = local_key(self._options, session)
        return SourceKey(key, pin=key.removeprefix(f"session:{self._options.name}:"))

    def used(self, pin: str) -> UsedMaterial:
        """See `Source.used`."""
        return UsedMaterial(LocalMaterial(self._options.name))

    async def snapshot(self, ctx: SourceContext) -> ImmutableRef | None:
        """See `Source.snapshot`."""
        ref = await self._prefetches.take(self._options, ctx.progress) or await self._brought(ctx)
        if not ctx.build.imports_caches:
            ref.write_soon()
        return ref

    async def _brought(self, ctx: SourceContext) -> ImmutableRef:
        async def use(session: Session) -> ImmutableRef:
            return await self._bring(session, ctx.progress)

        session = await self._named_session(ctx.sessions)
        if session is not None:
            try:
                return await use(session)
            except NotFound:
                if not set(ctx.sessions) - {session.id}:
                    raise
        return await self._sessions.first(ctx.sessions, use)

    async def _bring(self, session: Session, progress: Progress) -> ImmutableRef:
        transfer = DirectoryTransfer(self._options, self._refs, self._pool)
        transfer.meter.show(progress)
        transfer.wanted.set()
        if self._options.metadata_only:
            return await transfer.list(session)
        return await transfer.bring(session)

    async def _named_session(self, others: Sequence[str]) -> Session | None:
        if not self._options.session:
            return None
        try:
            return await self._sessions.get(self._options.session)
        except NotFound:
            if not others or tuple(others) == (self._options.session,):
                raise
            return None


class LocalSources:
    """Opens `local://`."""

    schemes = (SCHEME,)

    def __init__(self, refs: RefStore, sessions: SessionManager, pool: Pool) -> None:
        self._refs = refs
        self._sessions = sessions
        self._pool = pool
        self._prefetches = LocalPrefetches(refs, sessions, pool)

    def open(self, request: SourceRequest) -> Source:
        options = parse_options(request)
        return LocalSource(options, self._refs, self._sessions, self._pool, self._prefetches)

    def prefetching(self) -> AbstractAsyncContextManager[Prefetch]:
        """What may be begun for one build before it asks. All of it ends with the block."""
        return self._prefetches.prefetching()
