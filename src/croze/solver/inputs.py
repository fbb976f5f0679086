"""One input of an active edge: what it was asked for, what it matched, and how far it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from croze.cachekeys.contract import KeyLink
from croze.cachekeys.names import content_key, is_imported
from croze.solver.flights import Step

if TYPE_CHECKING:
    from croze.solver.edge import ActiveEdge

_SLOW: Final = 2
_COMPLETE: Final = 3

IDLE: Final = 0
"""Nothing to ask."""
UNMATCHED: Final = 1
"""Ask those inputs for more that match nothing yet."""
OPEN: Final = 2
"""Every input matches something, but nothing in common, or without a result: ask all for more."""
RUN: Final = 3
"""No match is possible: get all results, and their content keys to save with."""


@dataclass(slots=True)
class Tally:
    """How many inputs of an edge are in which state."""

    fast: int = 0
    unmatched: int = 0
    closed: int = 0
    dead: int = 0
    ready: int = 0


def tally_of(inputs: Iterable[ActiveInput]) -> Tally:
    """The tally that these inputs add up to."""
    flags = [item.flags for item in inputs]
    return Tally(*(sum(column) for column in zip(*flags, strict=True)))


_Flags = tuple[bool, bool, bool, bool, bool]
_NO_FLAGS: _Flags = (False, False, False, False, False)


class ActiveInput:
    """Wants an edge on behalf of a consumer."""

    __slots__ = (
        "_content_key",
        "_content_taken",
        "_flags",
        "_keys_seen",
        "_matches",
        "asked",
        "consumer",
        "edge",
        "index",
        "queued",
    )

    def __init__(self, consumer: ActiveEdge, index: int, edge: ActiveEdge) -> None:
        self.consumer = consumer
        self.index = index
        self.edge = edge
        self.queued = False
        self.asked = 0
        self._keys_seen = 0
        self._matches: set[str] = set()
        self._content_taken = False
        self._content_key = ""
        self._flags = _NO_FLAGS

    def notify(self) -> None:
        self.mark_changed()
        self.consumer.graph.wake(self.consumer)

    def mark_changed(self) -> None:
        if not self.queued:
            self.queued = True
            self.consumer.changed.append(self)

    def ask(self, level: int) -> None:
        if level > self.asked:
            self.asked = level
            self.edge.want(self, level)

    def lower(self, level: int) -> None:
        if level < self.asked:
            self.asked = level
            self.edge.want(self, level)

    def probe_again(self) -> None:
        self._keys_seen = 0
        self._content_taken = False
        self.mark_changed()

    # Looking at what changed

    def refresh(self) -> None:
        """Look at the edge's new keys and level, and at the content key."""
        edge = self.edge
        if self._keys_seen < len(edge.keys):
            self._probe(edge.keys[self._keys_seen :])
            self._keys_seen = len(edge.keys)
        if not self._content_taken and self.index in self.consumer.vertex.contents:
            self._take_content(self.consumer.vertex.contents[self.index])
        self._count()

    def _probe(self, keys: list[str]) -> None:
        if self.consumer.vertex.vertex.ignore_cache:
            return
        caches = self.consumer.vertex.caches
        for link in self._links():
            for key in keys:
                self._match(caches.targets(key, link))

    def _take_content(self, content: str) -> None:
        self._content_taken = True
        if not content:
            return
        self._content_key = content_key(content)
        if self.consumer.vertex.vertex.ignore_cache:
            return
        caches = self.consumer.vertex.caches
        for plain, link in zip(self._content_links(), self._links(), strict=True):
            targets = caches.targets(self._content_key, plain)
            self._match(targets)
            for key in self._own_keys():
                self._connect(key, link, targets)

    def _connect(self, key: str, link: KeyLink, targets: Sequence[str]) -> None:
        """Lead the definition key to where the content key leads: the next look-up is direct."""
        store = self.consumer.graph.keys
        known = store.targets(key, link)
        for target in targets:
            if target not in known and not is_imported(target):
                store.add_link(key, link, target)
                self.consumer.graph.saved()

    def _match(self, targets: Sequence[str]) -> None:
        for target in targets:
            if target not in self._matches:
                self._matches.add(target)
                self.consumer.matched(target)

    def _links(self) -> list[KeyLink]:
        selector = self.consumer.vertex.keying(self.index).selector
        return self._links_with(selector)

    def _content_links(self) -> list[KeyLink]:
        return self._links_with("")

    def _links_with(self, selector: str) -> list[KeyLink]:
        output = self.consumer.index
        return [
            KeyLink(self.index, output, found.digest, selector)
            for found in self.consumer.vertex.maps
        ]

    def _count(self) -> None:
        keying = self.consumer.vertex.keying(self.index)
        level = self.edge.level
        closed = self._content_taken if keying.content is not None else level >= _SLOW
        has_work = keying.content is not None or keying.prepare is not None
        unmatched = not self._matches
        flags = (
            level > 0,
            unmatched,
            closed,
            closed and unmatched,
            level == _COMPLETE and (self._content_taken or not has_work),
        )
        if flags != self._flags:
            self._retally(flags)

    @property
    def flags(self) -> _Flags:
        """What it counts for in the tally, in the order of its fields."""
        return self._flags

    def _retally(self, new: _Flags) -> None:
        old, self._flags = self._flags, new
        tally = self.consumer.tally
        tally.fast += new[0] - old[0]
        tally.unmatched += new[1] - old[1]
        tally.closed += new[2] - old[2]
        tally.dead += new[3] - old[3]
        tally.ready += new[4] - old[4]

    # Asking for more

    def push(self, mode: int) -> None:
        """Ask for what comes next in `mode`."""
        if mode == IDLE:
            return
        if mode == RUN:
            self.ask(_COMPLETE)
            self._work_on_result()
        elif mode == OPEN or not self._matches:
            self._climb()

    def _climb(self) -> None:
        if self.edge.level < _SLOW:
            self.ask(_SLOW)
        elif self.consumer.vertex.keying(self.index).content is not None:
            self.ask(_COMPLETE)
            self._work_on_result()

    def _work_on_result(self) -> None:
        if self._content_taken or self.edge.level != _COMPLETE:
            return
        keying = self.consumer.vertex.keying(self.index)
        if keying.content is not None or keying.prepare is not None:
            self.consumer.vertex.want_content(self.index, self.consumer)

    # For saving

    def _own_keys(self) -> Iterator[str]:
        """Those of the edge that mean something in the key store."""
        return (key for key in self.edge.all_keys() if not is_imported(key))

    def identity(self) -> Iterator[Step]:
        """As `steps`, but a forced result is told apart from what the cache has."""
        result = self.edge.result
        if not self.edge.forced or result is None:
            yield from self.steps()
            return
        for index, digest, selector, key in self.steps():
            plain = bool(self._content_key) and key == self._content_key
            yield index, digest, selector, key if plain else f"{key}!{result.id}"

    def steps(self) -> Iterator[Step]:
        """All that leads from this input to a key of the consumer."""
        selector = self.consumer.vertex.keying(self.index).selector
        for found in self.consumer.vertex.maps:
            for key in self._own_keys():
                yield (self.index, found.digest, selector, key)
            if self._content_key:
                yield (self.index, found.digest, "", self._content_key)
