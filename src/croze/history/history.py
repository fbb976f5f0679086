"""The history of a daemon: builds under way, finished ones, and those who listen.

What is being written down is waited for by whoever asks, never by the build.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Self

from msgspec import Struct

from croze.api import control_pb2
from croze.errors import CrozeError
from croze.history import filters, logs
from croze.history.collecting import Collector
from croze.history.records import Records, descriptors
from croze.store.open import Store

log = logging.getLogger(__name__)

Event = control_pb2.BuildHistoryEvent
Record = control_pb2.BuildHistoryRecord

EXPIRE_EVERY_S = 120.0
LULL_S = 0.03
"""When no build has begun or ended for so long, there is time to write down what has become of
those that have."""
LATEST_S = 0.1
"""After so long they are written down, whatever else goes on: the record of a build that has been
answered is lost if the daemon is killed before."""


class Expiry(Struct, frozen=True):
    """A record goes when it is older *and* more than `max_entries` are newer. Pinned ones stay."""

    max_age_s: float = 48 * 3600
    max_entries: int = 50


class BuildHistory:
    """The daemon's history, inside `async with`: leaving waits for what is being written."""

    def __init__(self, store: Store, expiry: Expiry) -> None:
        self.store = store
        self.records = Records(store)
        self._expiry = expiry
        self._active: dict[str, Record] = {}
        self._writing: dict[str, asyncio.Task[None]] = {}
        self._finalizers: dict[str, Finalizer] = {}
        self._listeners: set[asyncio.Queue[Event | None]] = set()
        self._watched: Counter[str] = Counter()
        self._doomed: set[str] = set()
        """Deleted while somebody listens to them alone: gone once nobody does."""
        self._lull = asyncio.Event()
        """Builds that are over may be written down."""
        self._timer: asyncio.TimerHandle | None = None
        self._collector = Collector(store.collect_blobs)
        self._waiting_since_s = 0.0
        self._tasks = asyncio.TaskGroup()

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._hurry()
        for finalizer in self._finalizers.values():
            finalizer.wanted.set()
        await self._tasks.__aexit__(None, None, None)
        self._collector.close()

    # Builds

    def start(self, record: Record) -> None:
        """Note that a build began."""
        self._active[record.Ref] = record
        self._put_off()
        self._send(Event(type=control_pb2.STARTED, record=record))

    def finish(
        self, ref: str, complete: Coroutine[None, None, Record], leased: AsyncExitStack
    ) -> None:
        """A build is over: `complete` makes its record, with all blobs that it names. What is
        `leased` stays until the record holds them."""
        if not self._writing:
            self._waiting_since_s = asyncio.get_running_loop().time()
        self._writing[ref] = self._tasks.create_task(self._finish(ref, complete, leased))
        self._lull.clear()
        self._put_off()

    def _put_off(self) -> None:
        """Let those go first who wait for the answer of a build."""
        if not self._writing:
            return
        loop = asyncio.get_running_loop()
        now_s, latest_s = loop.time(), self._waiting_since_s + LATEST_S
        if now_s >= latest_s:
            self._hurry()
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_at(min(now_s + LULL_S, latest_s), self._lull.set)

    def _hurry(self) -> None:
        """Somebody waits for the records."""
        if self._timer is not None:
            self._timer.cancel()
        self._lull.set()

    async def _finish(
        self, ref: str, complete: Coroutine[None, None, Record], leased: AsyncExitStack
    ) -> None:
        try:
            async with leased:
                await self._lull.wait()
                record = await complete
                self.records.put(record)
        except (CrozeError, OSError) as error:
            log.warning("build %s could not be recorded: %s", ref, error)
        except Exception:
            log.exception("build %s could not be recorded", ref)
        else:
            self._send(Event(type=control_pb2.COMPLETE, record=record))
        finally:
            complete.close()  # it may not have begun
            self._active.pop(ref, None)
            self._writing.pop(ref, None)

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
        """Wait until whatever was over when this was called is on disk."""
        if self._writing:
            self._hurry()
            await asyncio.wait(set(self._writing.values()))

    # What clients ask

    async def finalize(self, ref: str) -> None:
        """Have a record made as complete as it gets, and wait for that."""
        await self.settled()
        if (finalizer := self._finalizers.get(ref)) is not None:
            finalizer.wanted.set()
            await finalizer.done.wait()

    async def update(self, ref: str, change: Callable[[Record], None]) -> None:
        """Change a finished record. Raises `CrozeError` for an unknown ref."""
        await self.settled()
        record = self._existing(ref)
        change(record)
        record.Generation += 1
        self.records.put(record)
        self._send(Event(type=control_pb2.COMPLETE, record=record))

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
        self._send(Event(type=control_pb2.COMPLETE, record=record))
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
        self._doomed.discard(ref)
        self.records.delete(ref)
        self._send(Event(type=control_pb2.DELETED, record=Record(Ref=ref)))

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

    def log_of(self, record: Record) -> Iterator[control_pb2.StatusResponse]:
        """Everything that a finished build said. Raises `NotFound` if that is lost."""
        if record.HasField("logs"):
            with self.store.blobs.open(record.logs.digest) as file:
                yield from logs.unpacked(file)

    # Listening

    async def listen(self, request: control_pb2.BuildHistoryRequest) -> AsyncIterator[Event]:
        """Builds under way, finished ones that the filters let through, then what happens. Ends
        with `EarlyExit` or `hang_up`. Raises `InvalidRequest` for a bad filter."""
        await self.settled()
        if request.Ref in self._doomed:
            raise CrozeError(f"ref {request.Ref} is deleted: file does not exist")
        with self._listening() as queue, self._watching(request.Ref):
            for event in self._known(request):
                yield event
            while not request.EarlyExit:
                news = await queue.get()
                if news is None:
                    return
                if request.Ref in ("", news.record.Ref):
                    yield news

    async def hang_up(self) -> None:
        """The daemon ends: complete what is to be completed, and tell those who listen that
        nothing will happen any more."""
        await self.settled()
        for ref in list(self._finalizers):
            await self.finalize(ref)
        for queue in self._listeners:
            queue.put_nowait(None)

    def _known(self, request: control_pb2.BuildHistoryRequest) -> list[Event]:
        has = (lambda ref: ref == request.Ref) if request.Ref else (lambda ref: True)
        events = [
            Event(type=control_pb2.STARTED, record=record)
            for ref, record in self._active.items()
            if has(ref)
        ]
        if not request.ActiveOnly:
            records = (self._find(request.Ref),) if request.Ref else self.records.all()
            there = (r for r in records if r is not None and r.Ref not in self._doomed)
            matching = filters.select(there, request.Filter, request.Limit)
            events += [Event(type=control_pb2.COMPLETE, record=record) for record in matching]
        return events

    @contextmanager
    def _listening(self) -> Iterator[asyncio.Queue[Event | None]]:
        queue: asyncio.Queue[Event | None] = asyncio.Queue()
        self._listeners.add(queue)
        try:
            yield queue
        finally:
            self._listeners.discard(queue)

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

    def _send(self, event: Event) -> None:
        """Listeners read later: each gets the record as it is now."""
        for queue in self._listeners:
            copy = Event()
            copy.CopyFrom(event)
            queue.put_nowait(copy)

    # Expiry

    async def run(self) -> None:
        """Expire what is due, for ever."""
        while True:
            self.expire(time.time())
            await asyncio.sleep(EXPIRE_EVERY_S)

    def expire(self, now_s: float) -> None:
        """Delete what is too old and too many."""
        old = self.records.ages()[max(self._expiry.max_entries, 0) :]
        for age in old:
            if age.completed_s < now_s - self._expiry.max_age_s:
                if self._watched[age.ref]:
                    self._doomed.add(age.ref)
                else:
                    self._delete(age.ref)


class Finalizer:
    """Work that adds something to a finished record."""

    def __init__(self) -> None:
        self.wanted = asyncio.Event()
        self.done = asyncio.Event()
