"""`GET /events`: what happens to images and builds, the last of it from memory, then as it comes.

Names that come and go are told by the image store, whoever sets them; what they come from is told
by whoever does it. Source: Docker Engine API, "Monitor events".
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from msgspec import Struct, field

from croze.image import reference
from croze.store.image_contract import ImageStore

KEPT = 256
"""As many as Docker keeps."""
WAITING = 4096
"""Events that a client may be behind."""


class EngineEvent(Struct, frozen=True):
    """Something that has happened. `id` is an image's name or id, or a container's id."""

    type: str
    action: str
    id: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    time_ns: int = field(default_factory=time.time_ns)

    def line(self) -> dict[str, object]:
        """The event as clients get it; the first three members are for those of old."""
        old = {"status": self.action, "id": self.id, "from": self.attributes.get("image", "")}
        return {
            **({k: v for k, v in old.items() if v} if self.type in ("image", "container") else {}),
            "Type": self.type,
            "Action": self.action,
            "Actor": {"ID": self.id, "Attributes": dict(self.attributes)},
            "scope": "local",
            "time": self.time_ns // 10**9,
            "timeNano": self.time_ns,
        }


class EventLog:
    """All events of a daemon since its start, of which the last are kept."""

    def __init__(self, images: ImageStore | None = None) -> None:
        self._kept: deque[EngineEvent] = deque(maxlen=KEPT)
        self._listening: set[asyncio.Queue[EngineEvent]] = set()
        self._action = "tag"
        if images is not None:
            images.watch(self._on_name)

    @property
    def listeners(self) -> int:
        return len(self._listening)

    def emit(
        self, type: str, action: str, id: str, attributes: Mapping[str, str] | None = None
    ) -> None:
        event = EngineEvent(type, action, id, attributes or {})
        self._kept.append(event)
        for queue in self._listening:
            if queue.qsize() < WAITING:
                queue.put_nowait(event)

    @contextmanager
    def named_by(self, action: str) -> Iterator[None]:
        """Report names that are set or taken away while inside as this action, unless something is
        waited for."""
        self._action, before = action, self._action
        try:
            yield
        finally:
            self._action = before

    def _on_name(self, name: str, digest: str, present: bool) -> None:
        if reference.parse(name).name == reference.parse(reference.DANGLING).name:
            return
        familiar = reference.familiar(name)
        if present:
            id = familiar if self._action in ("pull", "push") else digest
            self.emit("image", self._action, id, {"name": familiar})
        else:
            self.emit("image", "untag", digest, {"name": familiar})

    @contextmanager
    def listening(self) -> Iterator[tuple[Sequence[EngineEvent], asyncio.Queue[EngineEvent]]]:
        """The events that are kept, and a queue of those that come."""
        queue: asyncio.Queue[EngineEvent] = asyncio.Queue()
        self._listening.add(queue)
        try:
            yield tuple(self._kept), queue
        finally:
            self._listening.discard(queue)
