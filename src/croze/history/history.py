"""The history of a daemon: builds under way, finished ones, and those who listen.

The record of a build is on disk before it is answered. What is then still to do is waited for by
whoever asks, never by the build.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections import Counter
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Iterator,
    Sequence,
)
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from msgspec import Struct

from croze.errors import CrozeError
from croze.history.collecting import Collector
from croze.history.listeners import HistoryListeners, event
from croze.history.lull import Lull
from croze.history.records import Records, descriptors
from croze.store.open import Store

if TYPE_CHECKING:
    from croze.api import control_pb2
    from croze.api.control_pb2 import BuildHistoryEvent as Event
    from croze.api.control_pb2 import BuildHistoryRecord as Record

log = logging.getLogger(__name__)

EXPIRE_EVERY_S = 120.0


class Expiry(Struct, frozen=True):
    """A record goes when it is older *and* more than `max_entries` are newer. Pinned ones stay."""

    max_age_s: float = 48 * 3600
    max_entries: int = 50


class FinishedBuild(Struct, frozen=True):
    """The record of a build that is over, and those of its blobs that are no files yet."""

    record: Record
    inline: Sequence[bytes] = ()


class BuildHistory:
    """The daemon's history, inside `async with`: leaving waits for what is being written."""

    def __init__(self, store: Store, expiry: Expiry, lull: Lull | None = None) -> None:
        self.store = store
        self.records = Records(store)
        self.lull = lull or Lull()
        self._expiry = expiry
        self._active: dict[str, Record] = {}
        self._finishing: set[asyncio.Future[None]] = set()
        self._inline: dict[str, Sequence[bytes]] = {}
        """By ref: blobs that are in rows, and that no task makes files of yet."""
        self._filing: set[asyncio.Task[None]] = set()
        self._will_file = False
        """One of those still waits for its time, and takes what comes until then."""
        self._finalizers: dict[str, Finalizer] = {}
        self._listeners = HistoryListeners()
        self._watched: Counter[str] = Counter()
        self._doomed: set[str] = set()
        """Deleted while somebody listens to them alone: gone once nobody does."""
        self._collector = Collector(store.collect_blobs)
        self._tasks = asyncio.TaskGroup()

    async def __aenter__(self) -> Self:
        """What a daemon that was killed has left in rows becomes files."""
        await self._tasks.__aenter__()
        self._inline = self.records.inline()
        self._file_later()
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.lull.hurry()
        for finalizer in self._finalizers.values():
            finalizer.wanted.set()
        await self._tasks.__aexit__(None, None, None)
        self._collector.close()

    # Builds

    def start(self, record: Record) -> None:
        """Note that a build began."""
        self._active[record.Ref] = record
        self.lull.put_off()
        self._listeners.tell("STARTED", record)

    async def finish(self, ref: str, complete: Awaitable[FinishedBuild]) -> None:
        """A build is over: `complete` makes its record, with all blobs that it names. When this
        returns neither `kill -9` nor a power cut takes it any more. Raises what keeps it from being
        made, and `ResourceExhausted` when the disk is full: then there is none, or still that of
        the build that had the ref before."""
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._finishing.add(over)
        try:
            build = await complete
            await self._put(build)
        finally:
            self._active.pop(ref, None)
            self._finishing.discard(over)
            over.set_result(None)
        self._file_later()
        self.lull.put_off()
        self._listeners.tell("COMPLETE", build.record)

    async def _put(self, build: FinishedBuild) -> None:
        ref = build.record.Ref
        before, inline = self.records.row(ref), self._inline.get(ref)
        self.records.put(build.record, build.inline)
        self._note_inline(ref, build.inline)  # from here on the record can be found
        try:
            await self.store.db.sync()
        except Exception:  # the client hears that there is none
            self._note_inline(ref, inline)
            self.records.put_back(ref, before)
            raise

    def _note_inline(self, ref: str, blobs: Sequence[bytes] | None) -> None:
        if blobs:
            self._inline[ref] = blobs
        else:
            self._inline.pop(ref, None)

    def _file_later(self) -> None:
        """Make files of what is in rows, when there is time."""
        if self._inline and not self._will_file:
            self._will_file = True
            self.lull.want()
            self._filing.add(task := self._tasks.create_task(self._file()))
            task.add_done_callback(self._filing.discard)

    async def _file(self) -> None:
        await self.lull.wait()
        self._will_file = False
        builds, self._inline = self._inline, {}
        try:
            await self.store.blobs.put_all([blob for blobs in builds.values() for blob in blobs])
            await self.store.db.sync()
            # Most rows will be written once more, with their traces.
            self.records.filed(builds.keys() - self._finalizers.keys() - self._inline.keys())
        except Exception as error:
            unforeseen = not isinstance(error, CrozeError | OSError)
            log.warning("blobs of records are no files yet: %s", error, exc_info=unforeseen)
            self._inline = builds | self._inline

    async def _filed(self) -> None:
        """Wait until the blobs that records name are files; on a full disk they are not."""
        self._file_later()
        if self._filing:
            self.lull.hurry()
            await asyncio.wait(set(self._filing))

    def finalize_later(
        self, ref: str, work: Callable[[Finalizer], Coroutine[None, None, None]]
    ) -> None:
        """Something is added to a finished record when `wanted`, or when `work` thinks fit."""
        finalizer = self._finalizers[ref] = Finalizer()
        self._tasks.create_task(self._finalize(ref, finalizer, work))

    async def _finalize(
        self,
        ref: str,
        finalizer: Finalizer,
        work: Callable[[Finalizer], Coroutine[None, None, None]],
    ) -> None:
        try:
            await work(finalizer)
        except (CrozeError, OSError) as error:
            log.warning("failed to complete the record of build %s: %s", ref, error)
        except Exception:
            log.exception("failed to complete the record of build %s", ref)
        finally:
            if self._finalizers.get(ref) is finalizer:
                del self._finalizers[ref]
            finalizer.done.set()

    async def settled(self) -> None:
        """Wait until whatever was over when this was called is on record, with files for blobs."""
        if self._finishing:
            await asyncio.wait(set(self._finishing))
        await self._filed()

    # What clients ask

    async def finalize(self, ref: str) -> None:
        """Have a record made as complete as it gets, and wait for that."""
        await self.settled()
        if (finalizer := self._finalizers.get(ref)) is not None:
            finalizer.wanted.set()
            self.lull.hurry()
            await finalizer.done.wait()

    async def update(self, ref: str, change: Callable[[Record], None]) -> None:
        """Change a finished record. Raises `CrozeError` for an unknown ref."""
        await self.settled()
        record = self._existing(ref)
        change(record)
        record.Generation += 1
        self.records.put(record, self._inline.get(ref, ()))
        self._listeners.tell("COMPLETE", record)

    async def add(self, record: Record) -> bool:
        """Take a finished record in, for good, with all blobs that it names, which must be there;
        False if there is one of that ref. Raises `NotFound` for blobs that are not there."""
        await self.settled()
        if record.Ref in self._active or self._find(record.Ref) is not None:
            return False
        for descriptor in descriptors(record):
            self.store.blobs.size(descriptor.digest)
        record.pinned = True
        self.records.put(record)
        self._listeners.tell("COMPLETE", record)
        return True

    async def delete(self, ref: str) -> None:
        """Forget a build; its blobs go with the next collection. Raises `CrozeError` for an
        unknown ref."""
        await self.finalize(ref)
        if self._find(ref) is None:
            raise CrozeError(f'lease "ref_{ref}": not found')
        if self._watched[ref]:
            self._doomed.add(ref)
        else:
            self._delete(ref)
            self._collector.want()

    def _delete(self, ref: str) -> None:
        self.records.delete(ref)
        self._doomed.discard(ref)
        self._inline.pop(ref, None)
        self._listeners.tell_deleted(ref)

    async def find(self, ref: str) -> Record | None:
        """The record of a finished build; None if there is none."""
        await self.settled()
        return self._find(ref)

    def _find(self, ref: str) -> Record | None:
        return None if ref in self._doomed else self.records.get(ref)

    def _existing(self, ref: str) -> Record:
        record = self._find(ref)
        if record is None:
            raise CrozeError(f"failed to retrieve ref {ref}: file does not exist")
        return record

    async def log_of(self, record: Record) -> AsyncGenerator[control_pb2.StatusResponse, None]:
        """Everything that a finished build said. Raises `NotFound` if that is lost."""
        from croze.history import logs

        if record.HasField("logs"):
            await self._filed()  # the build may have ended while its record was looked for
            with self.store.blobs.open(record.logs.digest) as file:
                for response in logs.unpacked(file):
                    yield response

    # Listening

    async def listen(self, request: control_pb2.BuildHistoryRequest) -> AsyncIterator[Event]:
        """Builds under way, finished ones that the filters let through, then what happens. Ends
        with `EarlyExit` or `hang_up`. Raises `InvalidRequest` for a bad filter, and
        `ResourceExhausted` for who reads too slowly."""
        from croze.api import control_pb2

        await self.settled()
        if request.Ref in self._doomed:
            raise CrozeError(f"ref {request.Ref} is deleted: file does not exist")
        with self._listeners.one() as listener, self._watching(request.Ref):
            for event in self._known(request):
                yield event
            while not request.EarlyExit:
                news = await listener.get()
                if news is None:
                    return
                if request.Ref in ("", news.record.Ref):
                    if news.type == control_pb2.COMPLETE:
                        await self._filed()  # whoever hears of it may look at its log
                    yield news

    async def hang_up(self) -> None:
        """The daemon ends: complete what is to be completed, and tell those who listen that
        nothing will happen any more."""
        await self.settled()
        for ref in list(self._finalizers):
            await self.finalize(ref)
        self._listeners.end()

    def _known(self, request: control_pb2.BuildHistoryRequest) -> list[Event]:
        has = (lambda ref: ref == request.Ref) if request.Ref else (lambda ref: True)
        events = [event("STARTED", record) for ref, record in self._active.items() if has(ref)]
        if not request.ActiveOnly:
            from croze.history import filters

            records = (self._find(request.Ref),) if request.Ref else self.records.all()
            there = (r for r in records if r is not None and r.Ref not in self._doomed)
            matching = filters.select(there, request.Filter, request.Limit)
            events += [event("COMPLETE", record) for record in matching]
        return events

    @contextmanager
    def _watching(self, ref: str) -> Iterator[None]:
        self._watched[ref] += 1
        try:
            yield
        finally:
            self._watched[ref] -= 1
            if not self._watched[ref]:
                del self._watched[ref]
                if ref in self._doomed:
                    self._delete(ref)

    # Expiry

    async def run(self) -> None:
        """Expire what is due, for ever."""
        while True:
            try:
                self.expire(time.time())
            except (CrozeError, OSError, sqlite3.Error) as error:
                log.warning("records of builds that are due to go stay: %s", error)
            await asyncio.sleep(EXPIRE_EVERY_S)

    def expire(self, now_s: float) -> None:
        """Delete what is too old and too many."""
        many = self.records.ages()[max(self._expiry.max_entries, 0) :]
        due = [age.ref for age in many if age.completed_s < now_s - self._expiry.max_age_s]
        for ref in due:
            if self._watched[ref]:
                self._doomed.add(ref)
            else:
                self._delete(ref)
        if due:
            self._collector.want()


class Finalizer:
    """Work that adds something to a finished record."""

    def __init__(self) -> None:
        self.wanted = asyncio.Event()
        self.done = asyncio.Event()
