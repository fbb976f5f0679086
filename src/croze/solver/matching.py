"""How keys lead through cache maps to keys, and when they can lead nowhere any more.

The one set of rules, for builds and for forecasts. Nothing here waits or writes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product
from typing import Protocol

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


def targets_of(caches: Targets, keys: Iterable[str], links: Iterable[KeyLink]) -> list[str]:
    """What any of `keys` leads to through any of `links`, once each."""
    targets = [target for link in links for key in keys for target in caches.targets(key, link)]
    return targets if len(targets) < 2 else list(dict.fromkeys(targets))


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
