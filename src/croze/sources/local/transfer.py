"""One directory of a client on its way here: by handle where the client is on this machine, else
over its session.

A transfer may begin before anybody wants the directory (`prefetch`). Until `wanted` is set it
only compares: it asks for what is there, and for no contents, and writes nothing.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path

from croze.aio.threads import abandonable
from croze.fs.match.patterns import PatternMatcher
from croze.fs.sync.late import write_late
from croze.fs.sync.local import SyncOptions, look, sync
from croze.fs.sync.receive import Receiver
from croze.fs.tree.walk import WalkOptions
from croze.session.contract import Session
from croze.session.filesync import DirRequest, receive_dir, receive_expected_dir
from croze.session.hostdir import HostDir, open_dir
from croze.session.metadata_only import MetadataSink
from croze.sources.local.compare import AsBefore, ReadAgain
from croze.sources.local.kept import KeptCandidate, KeptDir
from croze.sources.local.options import LocalOptions
from croze.status import Progress
from croze.store.contract import ImmutableRef, RefStore, WriteRest
from croze.workers.pool import Pool

_REPORT_EVERY_S = 0.1


class TransferMeter:
    """The line `transferring <name>:` with the bytes so far, once it is shown somewhere."""

    def __init__(self, name: str) -> None:
        self._id = f"transferring {name}:"
        self._progress: Progress | None = None
        self._started = datetime.now(UTC)
        self._last = 0.0
        self._total = 0
        self._done = False

    def show(self, progress: Progress) -> None:
        """Show the line in that step from now on."""
        self._progress, self._started = progress, datetime.now(UTC)
        self._report(0, None)
        if self._done:
            self.done(self._total)

    def count(self, total: int, last: bool) -> None:
        now = time.monotonic()
        if last:
            self.done(total)
        elif now - self._last >= _REPORT_EVERY_S:
            self._last = now
            self._report(total, None)

    def done(self, total: int) -> None:
        self._total, self._done = total, True
        self._report(total, datetime.now(UTC))

    def _report(self, current: int, completed: datetime | None) -> None:
        if self._progress is not None:
            self._progress.status(
                self._id,
                current=current,
                name="transferring",
                started=self._started,
                completed=completed,
            )


class DirectoryTransfer:
    """Brings what `options` ask for. It counts on `meter`, and changes nothing before it is
    `wanted`."""

    def __init__(self, options: LocalOptions, refs: RefStore, pool: Pool) -> None:
        self._options = options
        self._refs = refs
        self._pool = pool
        self.meter = TransferMeter(options.name)
        self.wanted = asyncio.Event()

    async def bring(self, session: Session) -> ImmutableRef:
        """The directory as it is now; the handle is the caller's."""
        options = self._options
        shared_key = f"{options.name}:{options.shared_key_hint}:{session.shared_key}"
        async with KeptDir(self._refs, options.name, shared_key) as kept_dir:
            handle = await open_dir(session, options.name)
            if handle is not None:
                with handle:
                    self.meter.done(await self._sync(handle, kept_dir))
            else:
                await self._receive(session, kept_dir)
            return await kept_dir.give()

    async def _receive(self, session: Session, kept_dir: KeptDir) -> None:
        reread = self._options.differ == "none"
        before = await AsBefore.of(kept_dir, self.wanted, may_hold=not reread)
        expected = ReadAgain(before) if reread else before
        came = await receive_expected_dir(session, self._request(), expected, self.meter.count)
        if isinstance(came, KeptCandidate):
            await kept_dir.choose(came)
        else:
            kept_dir.written(came.fingerprint, self._rest(kept_dir) if came.is_late else None)

    async def _sync(self, handle: HostDir, kept_dir: KeptDir) -> int:
        """The client is on this host: make our copy equal to its directory."""
        options = self._options
        walk = WalkOptions(options.include or (), options.exclude or (), options.follow_paths or ())
        reread = options.differ == "none"
        near = ""
        for each in kept_dir.candidates():
            sync_options = SyncOptions(walk, each.index, each.state, reread)
            looked = await self._pool.run(look, handle.path, sync_options)
            if looked.same:
                await kept_dir.choose(each)
                return 0
            if looked.entries:  # it is this one, and has changed
                near = each.id
                break
        await self.wanted.wait()
        target = await kept_dir.writable(near)
        sync_options = SyncOptions(walk, target.index, target.state, reread, target.pack)
        result = await self._pool.run(sync, handle.path, str(target.dest), sync_options)
        if result.is_late:
            kept_dir.written(None, self._rest(kept_dir))
        return result.bytes

    def _rest(self, kept_dir: KeptDir) -> WriteRest:
        """Writes the files of a new directory."""
        pack = kept_dir.pack

        async def write(root: Path) -> None:
            await self._pool.run(write_late, str(root), pack)

        return write

    def _request(self) -> DirRequest:
        options = self._options
        return DirRequest(
            options.name, options.include or (), options.exclude or (), options.follow_paths or ()
        )

    async def list(self, session: Session) -> ImmutableRef:
        """What is there, with the contents of a few files; always made anew, as it is small."""
        options = self._options
        # Beside the event loop: there may be very many.
        matcher = await abandonable(PatternMatcher, options.metadata_exceptions or ())
        ref = await self._refs.new(
            None, description=f"local source for {options.name}", record_type="source.local"
        )
        try:
            async with ref.mounted(readonly=False) as dest:
                sink = MetadataSink(dest, Receiver(str(dest)), matcher.matches_or_parent)
                await receive_dir(session, self._request(), sink, self.meter.count)
            return await ref.commit()
        except BaseException:
            await asyncio.shield(ref.release())
            raise
