"""An edge on its way to a result: which keys it has, whether the cache has it, what must run.

An edge is asked for one of three levels and climbs to it:

    FAST      all keys that follow from definitions alone are known
    SLOW      no more keys can be found short of running the edge itself
    COMPLETE  there is a result

To climb it asks the same of its inputs. It never blocks: `step` looks at what has changed since
the last time, and asks for the next thing. Work per step depends on what changed, not on how many
inputs there are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, Protocol

from croze.cachekeys.names import root_key
from croze.errors import CrozeError
from croze.solver import inputs as input_state
from croze.solver.contract import CacheMap, Edge, Result
from croze.solver.records import Records
from croze.solver.saving import save_executed, save_followed
from croze.solver.twins import Follower, identity_of, late_key, running_twin, signature_of
from croze.solver.work import Failure, Work

if TYPE_CHECKING:
    from croze.solver.graph import Member
    from croze.solver.inputs import ActiveInput
    from croze.solver.vertex import ActiveVertex

NONE: Final = 0
FAST: Final = 1
SLOW: Final = 2
COMPLETE: Final = 3


class Wanter(Protocol):
    """Someone who wants an edge at some level."""

    def notify(self) -> None:
        """The edge has changed. Must not call back into it."""


class ActiveEdge:
    """One output of an active vertex."""

    __slots__ = (
        "__weakref__",
        "_active",
        "_follower",
        "_hits",
        "_keys_checked",
        "_leader",
        "_levels",
        "_load_work",
        "_maps_seen",
        "_mode",
        "_news",
        "_owned",
        "_records",
        "_retired",
        "_wanters",
        "_was_wanted",
        "changed",
        "error",
        "forced",
        "graph",
        "index",
        "inputs",
        "keys",
        "level",
        "queued",
        "result",
        "result_keys",
        "tally",
        "vertex",
        "wanted",
    )

    def __init__(self, vertex: ActiveVertex, index: int) -> None:
        self.vertex = vertex
        self.graph = vertex.graph
        self.index = index
        self.queued = False
        self.level = NONE
        self.wanted = NONE
        self.keys: list[str] = []
        """Keys under which consumers may be found in the cache; only grows."""
        self.result: Result | None = None
        self.result_keys: tuple[str, ...] = ()
        """Keys of `result`; unlike `keys` also those of a forced run."""
        self.forced = False
        """The result was made on purpose although the cache may have one, or rests on such a
        result. Nobody finds anything by the keys of the first; by those of the others they do, as
        in BuildKit: only what reads a forced result itself runs again for sure."""
        self.error: CrozeError | None = None
        self.changed: list[ActiveInput] = []
        self.inputs: tuple[ActiveInput, ...] = ()
        self.tally = input_state.Tally()
        self._wanters: dict[Wanter, int] = {}
        self._levels = [0, 0, 0, 0]
        self._hits: dict[str, int] | None = None
        self._was_wanted = NONE
        self._active = False
        self._retired = False
        self._news = False
        self._maps_seen = 0
        self._records: Records | None = None
        self._keys_checked = 0
        self._mode = input_state.IDLE
        self._owned: tuple[Result, ...] = ()
        self._leader: ActiveEdge | None = None
        self._follower: Follower | None = None
        self._load_work: Work[tuple[Result, str]] | None = None

    # What is so, for who checks it

    @property
    def leader(self) -> ActiveEdge | None:
        """The edge of another vertex that it takes its result from."""
        return self._leader

    def wanters(self) -> Mapping[Wanter, int]:
        return self._wanters

    def has_records(self) -> bool:
        """Whether there is a result in the cache that was not tried."""
        return bool(self._records)

    def tally_of_inputs(self) -> input_state.Tally:
        """What the tally must be."""
        return input_state.tally_of(self.inputs)

    # What others ask

    def want(self, who: Wanter, level: int) -> None:
        """`who` wants this edge at `level` from now on; NONE to leave."""
        old = self._wanters.get(who, NONE)
        if old == level:
            return
        if level:
            self._wanters[who] = level
        else:
            del self._wanters[who]
        levels = self._levels
        levels[old] -= 1
        levels[level] += 1
        top = COMPLETE if levels[3] else SLOW if levels[2] else FAST if levels[1] else NONE
        if top != self.wanted:
            self.wanted = top
            self.graph.wake(self)

    @property
    def finished(self) -> bool:
        return self.result is not None or self.error is not None

    @property
    def edge(self) -> Edge:
        return Edge(self.vertex.vertex, self.index)

    def all_keys(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.result_keys, *self.keys)))

    def clone_result(self) -> Result:
        assert self.result is not None
        return self.result.clone()

    def content_known(self, index: int) -> None:
        """The content of input `index` was computed (or failed)."""
        if self.inputs:
            self.inputs[index].notify()

    def look_again(self) -> None:
        """The vertex has more caches to look into than before. What runs goes on; but a source's
        keys may spare its consumers the result that it is about to have."""
        if not self.vertex.vertex.inputs:
            self._add_source_keys(self.vertex.maps[: self._maps_seen])
        self._maps_seen = 0
        self._keys_checked = 0
        self.graph.wake(self)

    def forget_error(self) -> None:
        """Whoever still wants the edge gets another try."""
        self.error = None
        self.graph.wake(self)

    def joined(self, job: Member) -> None:
        """One more job wants the vertex."""
        if self._leader is not None:
            self._leader.vertex.join(job)

    def retire(self) -> list[Result]:
        """No job wants the vertex any more; returns results to release."""
        self._idle()
        self._retired = True
        self.result = None
        orphans, self._owned = self._owned, ()
        return list(orphans)

    # The step

    def step(self) -> None:
        if self._retired:
            return
        if not self.wanted:
            self._idle()
        elif not self.finished:
            self._climb()
        if self._news:
            self._news = False
            for wanter in self._wanters:
                wanter.notify()

    def break_off(self, err: Exception) -> None:
        """`step` raised: whoever wants the edge must hear of it."""
        self._fail(self.vertex.blame(err))
        self.step()

    def _climb(self) -> None:
        if self.wanted < self._was_wanted:
            self._relax()
        self._was_wanted = self.wanted
        if self.vertex.error is not None:
            self._fail(self.vertex.error)
        elif self._leader is not None:
            self._follow(self._leader)
        elif self.wanted == COMPLETE and self.vertex.results is not None:
            self._take_executed()
        elif self.vertex.runs_for(self):
            pass
        else:
            self._activate()
            touched = self._take_changes()
            if self.error is None:
                self._advance(touched)

    def _activate(self) -> None:
        if self._active:
            return
        self._active = True
        if not self.inputs:
            edges = self.vertex.vertex.inputs
            self.inputs = tuple(
                input_state.ActiveInput(self, i, self.graph.edge(e)) for i, e in enumerate(edges)
            )
        for item in self.inputs:
            item.ask(FAST)
            item.mark_changed()

    def _take_changes(self) -> Sequence[ActiveInput]:
        maps = self.vertex.maps
        if not maps:
            self._fail_with_input()
            return ()
        if self._maps_seen < len(maps):
            self._take_maps()
        if not self.changed:
            return ()
        touched, self.changed = self.changed, []
        for item in touched:
            item.queued = False
            if item.edge.error is not None:
                self._fail(item.edge.error)
                return ()
            item.refresh()
        return touched

    def _fail_with_input(self) -> None:
        failed = (item.edge.error for item in self.changed if item.edge.error is not None)
        error = next(failed, None)
        if error is not None:
            self._fail(error)

    def _take_maps(self) -> None:
        new = self.vertex.maps[self._maps_seen :]
        self._maps_seen = len(self.vertex.maps)
        if self.inputs:
            for item in self.inputs:
                item.probe_again()
        else:
            self._add_source_keys(new)

    def _add_source_keys(self, maps: Sequence[CacheMap]) -> None:
        if self.vertex.vertex.ignore_cache:
            return
        for found in maps:
            key = root_key(found.digest, self.index)
            if self.vertex.caches.exists(key):
                self.add_key(key)

    def matched(self, target: str) -> None:
        """One more input leads to `target`; a key that all lead to is a key of this edge."""
        if len(self.inputs) == 1:
            self.add_key(target)
            return
        if self._hits is None:
            self._hits = {}
        hits = self._hits[target] = self._hits.get(target, 0) + 1
        if hits == len(self.inputs):
            self.add_key(target)

    def add_key(self, key: str) -> None:
        if key not in self.keys:
            self.keys.append(key)
            self._news = True

    def _advance(self, touched: Sequence[ActiveInput]) -> None:
        self._seek_records()
        if self._needs_map():
            self.vertex.map_work.want(self)
        self._raise_level()
        if self.wanted == COMPLETE and self._records:
            self._load(self._records)
        elif self.vertex.maps:
            self._dig(touched)

    def _needs_map(self) -> bool:
        vertex = self.vertex
        return not vertex.maps or (not vertex.maps_done and not self._records)

    def _raise_level(self) -> None:
        vertex = self.vertex
        if not vertex.maps or not (vertex.maps_done or self._records):
            return
        if self.hopeless() or (self.keys and self.tally.fast == len(self.inputs)):
            self._set_level(SLOW)
        elif self.tally.fast == len(self.inputs):
            self._set_level(FAST)

    def hopeless(self) -> bool:
        """No input can bring a match any more that it has not brought."""
        tally = self.tally
        return self.vertex.vertex.ignore_cache or tally.dead > 0 or tally.closed == len(self.inputs)

    def _set_level(self, level: int) -> None:
        if level > self.level:
            self.level = level
            self._news = True

    # Digging: asking inputs for more

    def _dig(self, touched: Sequence[ActiveInput]) -> None:
        mode = self._choose_mode()
        if mode != self._mode:
            self._mode = mode
            touched = self.inputs
        for item in touched:
            item.push(mode)
        if mode == input_state.RUN and self.tally.ready == len(self.inputs):
            self._run()

    def _choose_mode(self) -> int:
        if self.wanted < SLOW or not self.vertex.maps_done:
            return input_state.IDLE
        if self.hopeless():
            return input_state.RUN if self.wanted == COMPLETE else input_state.IDLE
        if self.tally.fast < len(self.inputs):
            return input_state.IDLE
        if self.level >= self.wanted:
            return input_state.IDLE
        return input_state.UNMATCHED if self.tally.unmatched else input_state.OPEN

    # Records

    def _seek_records(self) -> None:
        """Look for results under new keys, unless only keys are asked for."""
        new = self.keys[self._keys_checked :]
        if not new or (self.wanted < SLOW and self.vertex.maps_done):
            return
        self._keys_checked = len(self.keys)
        if self._records is None:
            self._records = Records(self)
        self._records.seek(new)

    def _load(self, records: Records) -> None:
        if self._load_work is None:
            self._load_work = Work(self.graph.spawn, records.load_best, self._loaded)
        if self not in self._load_work.users:
            self._mode = input_state.IDLE
            self._ask_inputs(NONE)
            self._load_work.want(self)

    def _loaded(self, outcome: tuple[Result, str] | Failure) -> None:
        if isinstance(outcome, Failure):
            assert self._records is not None
            self._records.drop_tried(outcome.error)
            self._active = False
        elif self._retired or self.result is not None:
            self.graph.release([outcome[0]])
        else:
            self._owned += (outcome[0],)
            self._finish(outcome[0], (outcome[1],))
        self.graph.wake(self)

    # Running

    def _run(self) -> None:
        """All inputs are there and the cache had nothing: run the op, unless it runs already."""
        identity = identity_of(self)
        leader = running_twin(self, identity)
        if leader is not None:
            self._start_following(leader)
            return
        key = late_key(self, identity)
        if key is not None:
            self.add_key(key)
            self._seek_records()
        if self._records:
            self._load(self._records)
        else:
            self.vertex.execute(self, identity, signature_of(self))

    def _take_executed(self) -> None:
        results = self.vertex.results
        assert results is not None
        if self.index >= len(results):
            self._fail(
                CrozeError(
                    f"invalid response from exec need {self.index} index "
                    f"but {len(results)} results received"
                )
            )
            return
        result = results[self.index]
        saved = save_executed(self.graph, self.vertex, self.index, result)
        self.forced = self.vertex.forced
        self._finish(result, saved)

    def _finish(self, result: Result, keys: tuple[str, ...]) -> None:
        self.result = result
        self.result_keys = keys
        if not self.vertex.vertex.ignore_cache:
            for key in keys:
                self.add_key(key)
        self._set_level(COMPLETE)
        self._let_go()

    # Following another vertex that does the same

    def _start_following(self, leader: ActiveVertex) -> None:
        for job in self.vertex.jobs:
            leader.join(job)
        self._leader = leader.edge(self.index)
        self._follower = self._follower or Follower(self)
        self._leader.want(self._follower, COMPLETE)
        leader.run_also_for(self._leader)
        if self._leader.finished:
            self.graph.wake(self)

    def _follow(self, leader: ActiveEdge) -> None:
        if leader.error is not None:
            self.vertex.reporter.start()
            self.vertex.reporter.complete(error=str(leader.error))
            self._fail(self.vertex.blame(leader.error))
        elif leader.result is not None:
            result = leader.clone_result()
            self._owned += (result,)
            keys = leader.all_keys()
            self.forced = leader.forced
            save_followed(self.graph, signature_of(self), self.index, keys)
            self.vertex.reporter.start(cached=True)
            self.vertex.reporter.complete()
            self._finish(result, keys)

    # Letting go

    def _fail(self, error: CrozeError) -> None:
        self.error = error
        self._news = True
        self._let_go()

    def _relax(self) -> None:
        """Less is wanted than before: stop what only the old wish needed."""
        self._stop_work()
        self._mode = input_state.IDLE
        self._ask_inputs(FAST)

    def _idle(self) -> None:
        self._was_wanted = NONE
        self._let_go()

    def _let_go(self) -> None:
        self._stop_work()
        self.vertex.map_work.drop(self)
        self._mode = input_state.IDLE
        self._active = False
        self._ask_inputs(NONE)

    def _stop_work(self) -> None:
        self.vertex.drop_work(self)
        if self._load_work is not None:
            self._load_work.drop(self)
        if self._leader is not None and self._follower is not None:
            self._leader.want(self._follower, NONE)
            self._leader = None

    def _ask_inputs(self, level: int) -> None:
        for item in self.inputs:
            item.lower(level)
