"""How keys lead through cache maps to keys, and when they can lead nowhere any more.

The one set of rules, for builds and for forecasts. Nothing here waits or writes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import product
from typing import NamedTuple, Protocol

from croze.cachekeys.contract import KeyLink
from croze.cachekeys.names import root_key
from croze.solver.contract import CacheMap, InputKeying
from croze.solver.levels import ALL_KEYS, NOTHING, RESULT, InputFlags, Level, Tally

WHOLE = InputKeying()
"""An input of which all counts, by definition."""


_FLAGS = {
    (defined, matched, closed, ready): InputFlags(
        defined, not matched, closed, closed and not matched, ready
    )
    for defined, matched, closed, ready in product((False, True), repeat=4)
}
"""All that there are: made once, told apart by identity."""


class Targets(Protocol):
    """Where links are looked up."""

    def targets(self, source_key: str, link: KeyLink) -> Sequence[str]:
        """See `KeyLookup.targets`."""

    def few_targets(self, source_key: str, link: KeyLink) -> Sequence[str] | None:
        """See `KeyLookup.few_targets`."""

    def leads(self, source_key: str, link: KeyLink, target_key: str) -> bool:
        """See `KeyLookup.leads`."""


class Crowd(NamedTuple):
    """More keys than are listed (`cachekeys.contract.FEW`) that a key leads to through a link."""

    caches: Targets
    source_key: str
    link: KeyLink

    def has(self, target: str) -> bool:
        """Whether `target` is one of them. Costs one look-up."""
        return self.caches.leads(self.source_key, self.link, target)

    def targets(self) -> Sequence[str]:
        """Every one of them, however many."""
        return self.caches.targets(self.source_key, self.link)


Way = tuple[str, KeyLink]
"""From this key through this link."""


def keying_of(maps: Sequence[CacheMap], index: int) -> InputKeying:
    """How input `index` enters the cache keys; the first map says it for all."""
    inputs = maps[0].inputs
    return inputs[index] if index < len(inputs) else WHOLE


def root_keys(maps: Iterable[CacheMap], output: int) -> list[str]:
    """The keys of an edge without inputs."""
    return [root_key(each.digest, output) for each in maps]


def links_of(
    maps: Sequence[CacheMap], index: int, output: int, selector: str | None = None
) -> list[KeyLink]:
    """The links through input `index`, one for each map; with the selector that the maps say,
    which is left out (`""`) where a link starts from content."""
    if selector is None:
        selector = keying_of(maps, index).selector
    return [KeyLink(index, output, each.digest, selector) for each in maps]


def look_up(caches: Targets, ways: Iterable[Way]) -> tuple[list[str], list[Crowd]]:
    """What any of `ways` leads to: the few, once each, and the crowds."""
    targets: list[str] = []
    crowds: list[Crowd] = []
    for key, link in ways:
        few = caches.few_targets(key, link)
        if few is None:
            crowds.append(Crowd(caches, key, link))
        else:
            targets += few
    return targets if len(targets) < 2 else list(dict.fromkeys(targets)), crowds


def common_targets(caches: Targets, inputs: Iterable[Iterable[Way]]) -> set[str]:
    """What every input leads to by one of its ways. No crowd is listed, unless all have one."""
    common: set[str] | None = None
    crowded: list[tuple[Collection[str], list[Crowd]]] = []
    for ways in inputs:
        few, crowds = look_up(caches, ways)
        if crowds:
            crowded.append((few, crowds))
            continue
        common = set(few) if common is None else common.intersection(few)
        if not common:
            return set()
    for some, crowds in crowded:
        if common is None:
            common = {*some, *(target for crowd in crowds for target in crowd.targets())}
        else:
            there = (t for t in common if t in some or any(crowd.has(t) for crowd in crowds))
            common = set(there)
    return common or set()


def flags_of(
    keying: InputKeying, level: Level, *, matched: bool, content_known: bool
) -> InputFlags:
    """What an input counts for whose edge is at `level`."""
    by_content = keying.content is not None
    closed = content_known if by_content else level >= ALL_KEYS
    works = by_content or keying.prepare is not None
    ready = level is RESULT and (content_known or not works)
    return _FLAGS[level is not NOTHING, matched, closed, ready]


def is_hopeless(tally: Tally, inputs: int, ignore_cache: bool = False) -> bool:
    """Whether no input can bring a match any more that it has not brought: only running the op
    gives a result, if there is none under the keys that are known."""
    return ignore_cache or tally.dead > 0 or tally.closed == inputs
