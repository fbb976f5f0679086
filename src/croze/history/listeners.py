"""Listeners to what happens to builds, each of which reads as fast as its client does."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Literal

from croze.errors import ResourceExhausted

if TYPE_CHECKING:
    from croze.api.control_pb2 import BuildHistoryEvent as Event
    from croze.api.control_pb2 import BuildHistoryRecord as Record

Kind = Literal["STARTED", "COMPLETE", "DELETED"]

BEHIND_BYTES: Final = 16 << 20
"""How far a listener may lag: some thousand builds. All share the events that are not read yet."""
_EVENT_BYTES: Final = 256
"""What an event takes beside its record."""


class HistoryListener:
    """The events that one client has not read yet."""

    def __init__(self, behind_bytes: int) -> None:
        self._most_bytes = behind_bytes
        self._bytes = 0
        self._events: deque[Event] = deque()
        self._news = asyncio.Event()
        self._ended = False
        self._lost = False

    def put(self, event: Event, size_bytes: int) -> None:
        """Have it read the event, unless it is too far behind: then it has lost track, and is
        told so once it reads again."""
        if self._lost:
            return
        self._bytes += size_bytes
        if self._bytes > self._most_bytes and self._events:
            self._lost = True
            self._events.clear()
        else:
            self._events.append(event)
        self._news.set()

    def end(self) -> None:
        """End with the events that there are."""
        self._ended = True
        self._news.set()

    async def get(self) -> Event | None:
        """The next event; None after the last. Raises `ResourceExhausted` for who did not read and
        has missed some: it has to ask anew."""
        while not self._events:
            if self._lost:
                raise ResourceExhausted("events of builds were not read for too long: listen again")
            if self._ended:
                return None
            self._news.clear()
            await self._news.wait()
        event = self._events.popleft()
        self._bytes -= size_bytes(event)
        return event


class HistoryListeners:
    """All who listen now."""

    def __init__(self, behind_bytes: int = BEHIND_BYTES) -> None:
        self._behind_bytes = behind_bytes
        self._all: set[HistoryListener] = set()

    @contextmanager
    def one(self) -> Iterator[HistoryListener]:
        """One more, inside."""
        listener = HistoryListener(self._behind_bytes)
        self._all.add(listener)
        try:
            yield listener
        finally:
            self._all.discard(listener)

    def tell(self, kind: Kind, record: Record) -> None:
        """Tell all. They read later, and get the record as it is now."""
        if self._all:
            self._put(event(kind, record))

    def tell_deleted(self, ref: str) -> None:
        """Tell all of a record that is gone."""
        if self._all:
            from croze.api.control_pb2 import BuildHistoryRecord

            self._put(event("DELETED", BuildHistoryRecord(Ref=ref)))

    def _put(self, news: Event) -> None:
        size = size_bytes(news)
        for listener in self._all:
            listener.put(news, size)

    def end(self) -> None:
        """Nothing will happen any more."""
        for listener in self._all:
            listener.end()


def event(kind: Kind, record: Record) -> Event:
    """The message that tells of it, with a copy of the record."""
    from croze.api import control_pb2

    return control_pb2.BuildHistoryEvent(
        type=control_pb2.BuildHistoryEventType.Value(kind), record=record
    )


def size_bytes(event: Event) -> int:
    """About what it takes in memory."""
    return _EVENT_BYTES + event.ByteSize()
