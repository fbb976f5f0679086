"""One input of an edge, as the edge sees it: what it was asked for, and what it has brought."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from croze.cachekeys.contract import KeyLink
from croze.cachekeys.names import is_imported
from croze.errors import CrozeError
from croze.solver.contract import CacheMap, InputKeying, Result
from croze.solver.levels import NO_FLAGS, NOTHING, InputFlags, Level
from croze.solver.matching import WHOLE, Crowd, Way, links_of

Step = tuple[KeyLink, str]
"""A link, as for output 0, and the key of the input that it starts from; input -1 for the op
itself."""

Signature = Sequence[frozenset[Step]]
"""For each input the steps that lead from it; any one of them identifies the input."""


class InputSource(Protocol):
    """What an edge may know of the edge that is its input: a `state.EdgeState`."""

    @property
    def level(self) -> Level:
        """How far the edge has come."""

    @property
    def keys(self) -> Sequence[str]:
        """Keys found so far by its definition and its inputs' content; they only grow."""

    @property
    def result_keys(self) -> tuple[str, ...]:
        """Keys that its result was stored or found under; empty before there is one."""

    @property
    def result(self) -> Result | None:
        """What it came to; the edge owns the handle."""

    @property
    def forced(self) -> bool:
        """Whether it rests on a run that was made although the cache may have had a result."""

    @property
    def error(self) -> CrozeError | None:
        """Why there will be no result."""


class InputState:
    """Plain state: `step` changes it."""

    __slots__ = (
        "asked",
        "changed",
        "content_asked",
        "content_crowds",
        "content_key",
        "content_known",
        "crowds",
        "flags",
        "index",
        "keying",
        "keys_seen",
        "links",
        "matches",
        "source",
    )

    def __init__(self, index: int, source: InputSource) -> None:
        self.index = index
        self.source = source
        self.keying = WHOLE
        """As the cache maps say it."""
        self.links: Sequence[KeyLink] = ()
        """One for each cache map that was looked at, to the consumer."""
        self.asked = NOTHING
        self.changed = False
        """There is something to look at."""
        self.keys_seen = 0
        self.matches: set[str] = set()
        """Keys of the consumer, in any cache, that it leads to; of a crowd's those that another
        input leads to."""
        self.crowds: dict[Way, Crowd] = {}
        self.content_asked = False
        self.content_known = False
        self.content_key = ""
        self.content_crowds: tuple[tuple[KeyLink, Crowd], ...] = ()
        """The crowds that its content leads to, each with the link from its keys."""
        self.flags: InputFlags = NO_FLAGS

    def rewind(self, keying: InputKeying, links: Sequence[KeyLink]) -> None:
        """Begin anew with what is known: there are more caches or maps to look into."""
        self.keying = keying
        self.links = links
        self.keys_seen = 0
        self.content_known = False
        self.content_crowds = ()

    def own_keys(self) -> list[str]:
        """The keys of the source that the daemon's key store knows."""
        return own_keys(self.source)

    def steps(self, maps: Sequence[CacheMap]) -> list[Step]:
        """All that leads from this input to a key of the consumer."""
        keys, content = self.own_keys(), self.content_key
        links = self.links if len(self.links) == len(maps) else links_of(maps, self.index, 0)
        steps = [(link.to(0), key) for link in links for key in keys]
        if content:
            steps += [(link, content) for link in links_of(maps, self.index, 0, selector="")]
        return steps

    def identity(self, maps: Sequence[CacheMap]) -> list[Step]:
        """All `steps`, but a forced result is told apart from what the cache has."""
        result, steps = self.source.result, self.steps(maps)
        if not self.source.forced or result is None:
            return steps
        return [
            (link, key if key == self.content_key else f"{key}!{result.id}") for link, key in steps
        ]


def all_keys(source: InputSource) -> tuple[str, ...]:
    """All keys of an edge, those of its result first."""
    if not source.result_keys:
        return tuple(source.keys)
    if len(source.keys) == 1 and source.keys[0] in source.result_keys:
        return source.result_keys
    return tuple(dict.fromkeys((*source.result_keys, *source.keys)))


def own_keys(source: InputSource) -> list[str]:
    """The keys that the daemon's key store knows."""
    return [key for key in all_keys(source) if not is_imported(key)]


def signature_of(inputs: Sequence[InputState], maps: Sequence[CacheMap]) -> Signature:
    """All that leads from the inputs to the op, to save with."""
    if not inputs:
        return (frozenset((KeyLink(-1, 0, each.digest), "") for each in maps),)
    return tuple(frozenset(item.steps(maps)) for item in inputs)


def identity_of(inputs: Sequence[InputState], maps: Sequence[CacheMap]) -> Signature:
    """What a run is known by: the signature, but forced results of inputs only equal themselves."""
    if not inputs:
        return signature_of(inputs, maps)
    return tuple(frozenset(item.identity(maps)) for item in inputs)
