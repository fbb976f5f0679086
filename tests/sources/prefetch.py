"""One client's directory, and a daemon that may bring it before anybody wants it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from croze.rpc.call import Requests, ServerCall
from croze.session.contract import Session
from croze.session.hostdir import HostDirProvider
from croze.session.providers.files import FilesProvider, LentDir
from croze.sources.contract import BuildSources, SourceContext
from croze.sources.local.prefetch import _Prefetched
from croze.sources.local.source import LocalSources
from croze.sources.request import SourceRequest
from croze.store.contract import ImmutableRef
from tests.sources.rig import Rig, files

KINDS = ("transfer", "handle")


class CountingFiles(FilesProvider):
    """Knows how often it was asked, and who still waits."""

    asked = 0
    ended = 0

    async def _diff_copy(self, messages: Requests[bytes], context: ServerCall) -> None:
        self.asked += 1
        try:
            await super()._diff_copy(messages, context)
        finally:
            self.ended += 1


class CountingHandles(HostDirProvider):
    asked = 0

    def _asked_for(self, question: str) -> object:  # type: ignore[override]
        self.asked += 1
        return super()._asked_for(question)


class Bench:
    """One client's directory, and a daemon that may bring it early."""

    def __init__(self, rig: Rig, context: Path, kind: str) -> None:
        self.rig = rig
        self.context = context
        self.kind = kind
        self.sources = LocalSources(rig.store.refs, rig.daemon.sessions, rig.pool)
        self.files = CountingFiles({"context": LentDir(context)})
        self.handles = CountingHandles({"context": context})
        self.session: Session | None = None

    @property
    def asked(self) -> int:
        return self.files.asked + self.handles.asked

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Bench]:
        lent = [self.files, self.handles] if self.kind == "handle" else [self.files]
        async with self.rig.client(*lent) as self.session:
            yield self

    def request(self, **attrs: str) -> SourceRequest:
        assert self.session is not None
        asked = {"sharedkeyhint": "context", "session": self.session.id, **attrs}
        return SourceRequest("local://context", {f"local.{k}": v for k, v in asked.items()})

    async def bring(self, request: SourceRequest) -> ImmutableRef:
        assert self.session is not None
        ctx = SourceContext((self.session.id,), self.rig.progress, BuildSources())
        ref = await self.sources.open(request).snapshot(ctx)
        assert ref is not None
        return ref

    async def brought(self, request: SourceRequest) -> dict[str, bytes]:
        ref = await self.bring(request)
        found = await files(ref)
        await ref.release()
        return found

    async def kept(self) -> tuple[int, int]:
        """How many directories are kept, and how many of them somebody has."""
        records = await self.rig.store.refs.disk_usage()
        return len(records), sum(r.in_use for r in records)


WHOLE = {"a": b"one", "sub/b": b"two" * 1000}


async def quiet(bench: Bench) -> None:
    """Until what was begun has come as far as it may by itself: it is here, or waits to be
    wanted."""
    while any(map(_is_on_its_way, bench.sources._prefetches._transfers.values())):
        await asyncio.sleep(0.001)


def _is_on_its_way(prefetched: _Prefetched) -> bool:
    return not prefetched._task.done() and not prefetched._transfer.wanted._waiters


def rewrite(path: Path, data: bytes) -> None:
    """Nothing but the content tells."""
    before = path.stat()
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
