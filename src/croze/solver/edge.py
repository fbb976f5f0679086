"""An edge that is wanted: does what `step` says, and tells it what came of that."""

from __future__ import annotations

import logging
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any

from croze.cachekeys.contract import KeyLink
from croze.errors import NotFound
from croze.solver import merging, records, saving
from croze.solver.caches import ResultRecord
from croze.solver.contract import Edge, Result
from croze.solver.effects import Effect, Execute, Release
from croze.solver.events import (
    Changed,
    ContentLeads,
    Event,
    Failed,
    Found,
    Happened,
    IsEqual,
    Leads,
    Loaded,
    Named,
    NotLoaded,
    Rooted,
    Saved,
    Shared,
    Wants,
)
from croze.solver.inputs import InputState, Signature
from croze.solver.levels import NOTHING, RESULT, Level, WantedLevels
from croze.solver.matching import look_up
from croze.solver.state import EdgeState, Equals
from croze.solver.step import step
from croze.solver.views import EdgeView, GraphMember, VertexView, Wanter
from croze.solver.work import Failure, Work

log = logging.getLogger(__name__)

_NO_EQUAL = IsEqual(Equals())
_WANTS = [Wants(level) for level in Level]


class ActiveEdge:
    """One output of an active vertex."""

    __slots__ = (
        "__weakref__",
        "_follower",
        "_inbox",
        "_inputs",
        "_load_work",
        "_loading",
        "_wanted",
        "graph",
        "leader",
        "queued",
        "state",
        "vertex",
    )

    def __init__(self, vertex: VertexView, index: int) -> None:
        self.vertex = vertex
        self.graph = vertex.graph
        self.state = EdgeState(vertex.state, index)
        self.queued = False
        self.leader: EdgeView | None = None
        """The edge of another vertex that it takes its result from, or may."""
        self._inbox: list[Event] = []
        self._inputs: tuple[ActiveInput, ...] = ()
        self._wanted: WantedLevels[Wanter] = WantedLevels()
        self._follower: Follower | None = None
        self._load_work: Work[tuple[Result, str]] | None = None
        self._loading: ResultRecord | None = None

    # What is so, for who checks it

    def wanters(self) -> Mapping[Wanter, Level]:
        """Who wants something of it, and how much."""
        return self._wanted.by

    @property
    def finished(self) -> bool:
        return self.state.finished

    @property
    def edge(self) -> Edge:
        return Edge(self.vertex.vertex, self.state.index)

    @property
    def sources(self) -> Sequence[EdgeView]:
        """The edges that it takes as inputs, in their order; none until somebody wants it."""
        return [item.source for item in self._inputs]

    # What others ask

    def want(self, who: Wanter, level: Level) -> None:
        """See `EdgeView.want`."""
        state, wants = self.state, self._wanted
        if wants.want(who, level) and not state.retired:
            if len(self._inputs) != state.op.inputs:
                self._bind()
            self.tell(_WANTS[wants.most])

    def tell(self, event: Event) -> None:
        """Let it know, soon."""
        self._inbox.append(event)
        if not self.queued:
            self.graph.wake(self)

    def name(self, key: str) -> None:
        """Give it another cache key, under which others will look for its result."""
        self.move(Named(key))

    def clone_result(self) -> Result:
        """One more handle on its result, for the caller to release. The result must be there."""
        result = self.state.result
        assert result is not None
        return result.clone()

    def joined(self, job: GraphMember) -> None:
        """One more job wants the vertex."""
        if self.state.leader is not None and self.leader is not None:
            self.graph.hold(self.leader.vertex, job)

    def retire(self) -> list[Result]:
        """No job wants the vertex any more; returns results to release."""
        orphans: list[Result] = []
        events, self._inbox = self._inbox, []
        for effect in step(self.state, [*events, Happened.RETIRED]):
            if isinstance(effect, Release):
                orphans.append(effect.result)
            else:
                effect.perform(self)
        self._inputs = ()
        self._load_work = self._follower = None
        return orphans

    def _bind(self) -> None:
        sources = [self.graph.edge(edge) for edge in self.vertex.vertex.inputs]
        self._inputs = tuple([ActiveInput(self, i, each) for i, each in enumerate(sources)])
        self.state.inputs = tuple([InputState(i, each.state) for i, each in enumerate(sources)])

    # Moving

    def move(self, *events: Event) -> None:
        """Step until there is nothing more to be answered at once."""
        pending: Sequence[Event]
        pending, self._inbox = self._inbox, []
        if events:
            pending = (*pending, *events)
        while True:
            answers: list[Event] = []
            for effect in step(self.state, pending):
                try:
                    answer = effect.perform(self)
                except Exception as err:
                    answer = self._failed(effect, err)
                if answer is not None:
                    answers.append(answer)
            if not answers:
                return
            pending = answers

    def _failed(self, effect: Effect, err: Exception) -> Failed:
        """A store that fails (a full disk) must fail the build that needs it, not the loop."""
        log.error("%s failed", type(effect).__name__, exc_info=err)
        return Failed(self.vertex.named_error(err))

    # What `step` wants done: see `effects`

    def notify(self) -> None:
        for wanter in self._wanted.by:
            wanter.notify()

    def ask(self, input: int, level: Level) -> None:
        item = self._inputs[input]
        item.source.want(item, level)

    def ask_map(self) -> Event | None:
        return Happened.MAP_SAID if self.vertex.ask_map(self.state.index) else None

    def leave_map(self) -> None:
        self.vertex.leave_map(self.state.index)

    def ask_content(self, input: int) -> None:
        self.vertex.ask_content(input, self.state.index)

    def stop(self) -> None:
        self.vertex.stop(self.state.index)
        if self._load_work is not None:
            self._load_work.drop(self)

    def look(self, input: int, keys: Sequence[str]) -> Leads:
        links = self.state.inputs[input].links
        ways = [(key, link) for link in links for key in keys]
        return Leads(input, *look_up(self.vertex.caches, ways))

    def look_by_content(self, input: int, key: str) -> ContentLeads:
        caches, links = self.vertex.caches, self.state.inputs[input].links
        # What leads from content has no selector.
        plain = [KeyLink(input, each.output_index, each.digest) for each in links]
        answers = [look_up(caches, [(key, each)]) for each in plain]
        return ContentLeads(
            input, tuple((link, *led) for link, led in zip(links, answers, strict=True))
        )

    def look_for_roots(self, keys: Sequence[str]) -> Rooted:
        return Rooted([key for key in keys if self.vertex.caches.exists(key)])

    def seek(self, keys: Sequence[str]) -> Found:
        return Found(records.seek(self, keys))

    def connect(self, link: KeyLink, keys: Sequence[str], targets: Sequence[str]) -> None:
        saving.connect(self.graph.keys, link, keys, targets)
        self.graph.saved()

    def load(self, record: ResultRecord) -> None:
        self._loading = record
        if self._load_work is None:
            self._load_work = Work(self.graph.spawn, self._load, self._loaded)
        self._load_work.want(self)

    def _load(self) -> Coroutine[Any, Any, tuple[Result, str]]:
        assert self._loading is not None
        return records.load(self, self._loading)

    def _loaded(self, outcome: tuple[Result, str] | Failure) -> None:
        if isinstance(outcome, Failure):
            event: Event = NotLoaded(isinstance(outcome.error, NotFound))
        else:
            event = Loaded(*outcome)
        if self.state.retired:
            self.move(event)
        else:
            self.tell(event)

    def forget(self, result_id: str) -> None:
        self.graph.forget_results([result_id])

    def find_equal(self, identity: Signature) -> IsEqual:
        self.leader = merging.running_equal(self, identity)
        if self.leader is not None:
            return IsEqual(Equals(self.leader))
        key = merging.late_key(self, identity)
        return _NO_EQUAL if key is None else IsEqual(Equals(key=key))

    def follow(self) -> None:
        """Take part in the leader's execution: our jobs hold its vertex, and wait for its
        result."""
        leader = self.leader
        assert leader is not None
        for job in self.vertex.jobs:
            self.graph.hold(leader.vertex, job)
        self._follower = self._follower or Follower(self)
        leader.want(self._follower, RESULT)
        leader.vertex.run_also_for(leader.state.index)
        if leader.finished:
            self.graph.wake(self)

    def unfollow(self) -> None:
        if self.leader is not None and self._follower is not None:
            self.leader.want(self._follower, NOTHING)
        self.leader = None

    def share(self) -> Shared | Failed | None:
        assert self.leader is not None
        return merging.share(self, self.leader)

    def execute(self, run: Execute) -> None:
        self.vertex.execute(run, self.state.index)

    def save(self) -> Saved:
        return Saved(self.vertex.save(self.state.index))

    def release(self, result: Result) -> None:
        self.graph.release([result])


class ActiveInput:
    """Wants an edge on behalf of a consumer."""

    __slots__ = ("_changed", "_consumer", "source")

    def __init__(self, consumer: ActiveEdge, index: int, source: EdgeView) -> None:
        self.source = source
        self._consumer = consumer
        self._changed = Changed(index)

    def notify(self) -> None:
        self._consumer.tell(self._changed)


class Follower:
    """Wants a leader's edge for an edge of another vertex."""

    __slots__ = ("_edge",)

    def __init__(self, edge: ActiveEdge) -> None:
        self._edge = edge

    def notify(self) -> None:
        self._edge.graph.wake(self._edge)
