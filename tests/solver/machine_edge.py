"""An edge of such a machine: it moves its state, and does what a step wants done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from croze.solver import saving
from croze.solver.caches import ResultRecord
from croze.solver.contract import Result
from croze.solver.effects import Execute
from croze.solver.events import (
    Changed,
    Event,
    Failed,
    IsEqual,
    Loaded,
    NotLoaded,
    Saved,
    Shared,
    Wants,
)
from croze.solver.inputs import InputState, Signature, all_keys, signature_of
from croze.solver.levels import NOTHING, RESULT, Level, WantedLevels
from croze.solver.state import EdgeState, Equals
from croze.solver.step import step
from croze.solver.validate import may_not_run
from tests.solver.arithmetic import Number
from tests.solver.lookups import Lookups
from tests.solver.nodes import Work, release

if TYPE_CHECKING:
    from tests.solver.machines import SimVertex


class SimEdge(Lookups):
    """An `effects.Doer`."""

    def __init__(self, vertex: SimVertex, index: int) -> None:
        self.vertex = vertex
        self.graph = vertex.graph
        super().__init__(EdgeState(vertex.op, index), vertex.graph.keys, vertex.graph.results)
        self.wanted: WantedLevels[object] = WantedLevels()
        self.sources: list[SimEdge] = []
        self.leader: SimEdge | None = None
        self.inbox: list[Event] = []
        self.loading: ResultRecord | None = None

    @property
    def finished(self) -> bool:
        return self.state.finished

    def want(self, who: object, level: Level) -> None:
        if self.wanted.want(who, level) and not self.state.retired:
            if not self.sources:
                items = self.vertex.node.inputs
                self.sources = [self.graph.vertex(n).edge(output) for n, output in items]
                states = (InputState(i, each.state) for i, each in enumerate(self.sources))
                self.state.inputs = tuple(states)
            self.tell(Wants(self.wanted.most))

    def tell(self, event: Event) -> None:
        self.inbox.append(event)
        self.graph.wake(self)

    def move(self, *more: Event) -> None:
        told, self.inbox = [*self.inbox, *more], []
        while True:
            effects = step(self.state, told)
            told = [answer for each in effects if (answer := each.perform(self)) is not None]
            if not told:
                break
        self.graph.check(self)

    def loaded(self, *, broken: bool) -> None:
        record, self.loading = self.loading, None
        assert record is not None
        value = self.graph.results.values.get(record.stored.id)
        if broken or value is None:
            event: Event = NotLoaded(value is None)
        else:
            event = Loaded(Number(self.graph.results, record.stored.id, value), record.key)
        if self.state.retired:
            self.move(event)
        else:
            self.tell(event)

    def works_for_it(self) -> bool:
        vertex, index = self.vertex, self.state.index
        users = [vertex.map.users, vertex.run.users, *(w.users for w in vertex.contents.values())]
        loads = [work.users for work in vertex.loads.values()]
        led = self.leader is not None and self in self.leader.wanted.by
        return led or any(index in each for each in users) or any(self in each for each in loads)

    # What a step wants done

    def notify(self) -> None:
        for who in self.wanted.by:
            if isinstance(who, tuple):
                consumer, index = who
                consumer.tell(Changed(index))
            elif isinstance(who, SimEdge):
                self.graph.wake(who)

    def ask(self, input: int, level: Level) -> None:
        self.sources[input].want((self, input), level)

    def ask_map(self) -> None:
        self.vertex.map.want(self.state.index)

    def leave_map(self) -> None:
        self.vertex.map.drop(self.state.index)

    def ask_content(self, input: int) -> None:
        assert self.state.inputs[input].source.result is not None
        keying = self.state.inputs[input].keying
        assert keying.content is not None or keying.prepare is not None
        self.vertex.contents.setdefault(input, Work()).want(self.state.index)

    def stop(self) -> None:
        self.vertex.run.drop(self.state.index)
        for work in self.vertex.contents.values():
            work.drop(self.state.index)
        if self.state.index in self.vertex.loads:
            self.vertex.loads[self.state.index].drop(self)

    def load(self, record: ResultRecord) -> None:
        self.loading = record
        self.vertex.loads.setdefault(self.state.index, Work()).want(self)

    def find_equal(self, identity: Signature) -> IsEqual:
        self.leader = None
        for other in self.graph.in_flight.find(identity):
            if other is self.vertex:
                return IsEqual(Equals())
            if other.node.forced or not self.vertex.node.forced:
                self.leader = other.edge(self.state.index)
                return IsEqual(Equals(self.leader))
        key = None
        if self.state.inputs and not self.state.op.ignore_cache:
            key = saving.find_target(self.graph.keys, identity, self.state.index)
        return IsEqual(Equals(key=key))

    def follow(self) -> None:
        assert self.leader is not None
        for build in self.vertex.builds:
            self.leader.vertex.join(build)
        self.leader.want(self, RESULT)
        if self.leader.vertex.run.runs:
            self.leader.vertex.run.want(self.leader.state.index)
        self.graph.wake(self)

    def unfollow(self) -> None:
        if self.leader is not None:
            self.leader.want(self, NOTHING)
        self.leader = None

    def share(self) -> Shared | Failed | None:
        assert self.leader is not None
        made = self.leader.state
        if made.error is not None:
            return Failed(made.error)
        if made.result is None:
            return None
        signature = signature_of(self.state.inputs, self.state.op.maps)
        saving.save_followed(self.graph.keys, signature, self.state.index, all_keys(made))
        return Shared(made.result.clone(), all_keys(made), made.forced)

    def execute(self, run: Execute) -> None:
        vertex = self.vertex
        if not vertex.run.runs:
            self.graph.broken += may_not_run(self.state)
            vertex.identity, vertex.signature = run.identity, run.signature
            vertex.op.forced = run.forced
            self.graph.in_flight.add(vertex, run.identity)
        vertex.run.want(self.state.index)

    def save(self) -> Saved:
        results, index = self.state.op.results, self.state.index
        assert results is not None
        keys, op, signature = self.graph.keys, self.state.op, self.vertex.signature
        saved = saving.save_executed(keys, self.graph.results, op, signature, index, results[index])
        return Saved(saved)

    def release(self, result: Result) -> None:
        release(result)
