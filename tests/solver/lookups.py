"""What a machine asks of caches, answered from memory."""

from __future__ import annotations

from collections.abc import Sequence

from croze.cachekeys.contract import KeyLink
from croze.solver import saving
from croze.solver.caches import Caches, CacheSource
from croze.solver.events import ContentLeads, Found, Leads, Rooted
from croze.solver.matching import links_of, look_up
from croze.solver.state import EdgeState
from tests.solver.arithmetic import Results
from tests.support.memory_keys import MemoryKeys


class Lookups:
    """That part of an `effects.Doer`."""

    def __init__(self, state: EdgeState, keys: MemoryKeys, results: Results) -> None:
        self.state = state
        self.keys = keys
        self.results = results
        self.caches = Caches((CacheSource(keys, results),))

    def look(self, input: int, keys: Sequence[str]) -> Leads:
        links = links_of(self.state.op.maps, input, self.state.index)
        return Leads(input, *look_up(self.caches, [(k, each) for each in links for k in keys]))

    def look_by_content(self, input: int, key: str) -> ContentLeads:
        maps, output = self.state.op.maps, self.state.index
        plain = links_of(maps, input, output, selector="")
        found = [look_up(self.caches, [(key, link)]) for link in plain]
        by_link = zip(links_of(maps, input, output), found, strict=True)
        return ContentLeads(input, tuple((link, *led) for link, led in by_link))

    def look_for_roots(self, keys: Sequence[str]) -> Rooted:
        return Rooted([key for key in keys if self.keys.exists(key)])

    def seek(self, keys: Sequence[str]) -> Found:
        claimed = [record for key in keys for record in self.caches.results(key)]
        return Found([each for each in claimed if self.results.exists(each.stored.id)])

    def connect(self, link: KeyLink, keys: Sequence[str], targets: Sequence[str]) -> None:
        saving.connect(self.keys, link, keys, targets)

    def forget(self, result_id: str) -> None:
        self.keys.release_result(result_id)
