"""Machines without an event loop: whole graphs of `EdgeState`s, moved in any order.

What a daemon does between two steps, this does when a die says so: ops answer, fail or are stopped
too late; results are lost; builds come and go.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from croze.errors import CrozeError
from croze.solver.contract import CacheMap, InputKeying
from croze.solver.events import (
    Changed,
    Happened,
)
from croze.solver.in_flight import InFlight
from croze.solver.inputs import Signature
from croze.solver.levels import NOTHING, RESULT
from croze.solver.state import OpState
from croze.solver.validate import EdgeMemory
from tests.solver.arithmetic import Results, sha
from tests.solver.machine_edge import SimEdge
from tests.solver.nodes import Node, Work, no_content, no_work, release
from tests.support.memory_keys import MemoryKeys


class Simulation:
    """Builds of a plan, one step at a time. `broken`: invariants that did not hold."""

    def __init__(self, plan: Sequence[Node], die: Random) -> None:
        self.plan = plan
        self.die = die
        self.keys = MemoryKeys(few=1)  # two are a crowd
        self.results = Results()
        self.broken: list[str] = []
        self.vertices: dict[int, SimVertex] = {}
        self.gone: list[SimVertex] = []
        self.queue: list[SimEdge] = []
        self.ran: list[int] = []
        self.in_flight: InFlight[SimVertex] = InFlight()
        self.progress = EdgeMemory()

    def vertex(self, number: int) -> SimVertex:
        if number not in self.vertices:
            self.vertices[number] = SimVertex(self, number)
        return self.vertices[number]

    def value(self, number: int, output: int) -> int:
        """What is right."""
        node = self.plan[number]
        return node.add + output + sum(self.value(*item) for item in node.inputs)

    def chance(self, likely: float) -> bool:
        return self.die.random() < likely

    def wake(self, edge: SimEdge) -> None:
        if edge not in self.queue:
            self.queue.append(edge)

    def going_on(self) -> list[tuple[SimVertex, Work]]:
        vertices = [*self.vertices.values(), *self.gone]
        return [(v, w) for v in vertices for w in v.works() if w.runs]

    def move_one(self) -> bool:
        """Do anything that can be done now; False when all is quiet."""
        works = self.going_on()
        if self.queue and (not works or self.chance(0.6)):
            edge = self.queue.pop(self.die.randrange(len(self.queue)))
            edge.move()
        elif works:
            vertex, work = self.die.choice(works)
            vertex.come_to_end(work)
        else:
            return False
        return True

    def lose_something(self) -> None:
        for id in list(self.results.values):
            if self.chance(0.3):
                self.results.values.pop(id)

    def begin(self, top: tuple[int, int]) -> Build:
        build = Build(self, top)
        build.load(top[0])
        build.edge = self.vertex(top[0]).edge(top[1])
        build.edge.want(build, RESULT)
        return build

    def leave(self, build: Build) -> None:
        assert build.edge is not None
        build.edge.want(build, NOTHING)
        for vertex in build.attached:
            vertex.builds.pop(build, None)
            if not vertex.builds:
                self.vertices.pop(vertex.number)
                self.gone.append(vertex)
                vertex.retire()

    def check(self, edge: SimEdge) -> None:
        state = edge.state
        found = self.progress.broken_by(state)
        most = max(edge.wanted.by.values(), default=NOTHING)
        if state.wanted is not most and not state.retired:
            found.append(f"3: {state.wanted!r} is wanted, its wanters want {most!r}")
        met, leader = [edge], edge.leader
        while leader is not None and state.leader is not None:
            if leader in met:
                found.append("9: it follows itself")
                break
            met.append(leader)
            leader = leader.leader
        if not state.wanted and edge.works_for_it():
            found.append("10: there is work for it that nobody wants")
        self.broken += [f"v{edge.vertex.number}[{state.index}]: {each}" for each in found]


class Build:
    """Wants an edge, and has all below it loaded."""

    def __init__(self, graph: Simulation, top: tuple[int, int]) -> None:
        self.graph = graph
        self.top = top
        self.edge: SimEdge | None = None
        self.attached: dict[SimVertex, None] = {}

    def load(self, number: int) -> None:
        for below, _ in self.graph.plan[number].inputs:
            self.load(below)
        vertex = self.graph.vertex(number)
        if self not in vertex.builds:
            vertex.forgive()
            vertex.join(self)


class SimVertex:
    def __init__(self, graph: Simulation, number: int) -> None:
        self.graph = graph
        self.number = number
        self.node = graph.plan[number]
        self.op = OpState(len(self.node.inputs), self.node.forced)
        self.edges: dict[int, SimEdge] = {}
        self.builds: dict[Build, None] = {}
        self.map = Work()
        self.run = Work(users=self.op.running)
        self.contents: dict[int, Work] = {}
        self.loads: dict[int, Work] = {}
        self.identity: Signature = ()
        self.signature: Signature = ()
        self.retired = False

    def join(self, build: Build) -> None:
        if build not in self.builds:
            self.builds[build] = None
            build.attached[self] = None
            for edge in self.edges.values():
                if edge.state.leader is not None and edge.leader is not None:
                    edge.leader.vertex.join(build)

    def works(self) -> list[Work]:
        return [self.map, self.run, *self.contents.values(), *self.loads.values()]

    def edge(self, index: int) -> SimEdge:
        if index not in self.edges:
            self.edges[index] = SimEdge(self, index)
        return self.edges[index]

    def come_to_end(self, work: Work) -> None:
        """It is done, it fails, or it is stopped, which may come too late."""
        if work.stopping and self.graph.chance(0.8):
            work.stopping = False
            work.runs = bool(work.users)
            if work is self.run and not work.runs:
                self.ground()
            return
        fails = self.graph.chance(self.node.fails)
        if work.stopping and fails:
            work.stopping, work.runs = False, bool(work.users)
            return
        work.end()
        error = CrozeError(f"v{self.number} failed") if fails else None
        if work is self.map:
            self.say_map(error)
        elif work is self.run:
            self.end_run(error)
        else:
            self.end_other(work, error)

    def end_other(self, work: Work, error: CrozeError | None) -> None:
        for index, each in self.loads.items():
            if each is work:
                self.edges[index].loaded(broken=error is not None)
        for index, each in self.contents.items():
            if each is work:
                if error is not None:
                    self.op.error = error
                else:
                    value = self.graph.value(*self.node.inputs[index])
                    by_content = index in self.node.by_content
                    self.op.contents[index] = sha(f"content {value}") if by_content else ""
                for edge in self.edges.values():
                    edge.tell(Changed(index))

    def say_map(self, error: CrozeError | None) -> None:
        if error is not None:
            self.op.error = error
        else:
            number = len(self.op.maps)
            self.op.maps_done = number + 1 >= self.node.maps
            name = self.node.kind if self.op.maps_done else f"v{self.number} {number}"
            self.op.maps.append(CacheMap(sha(name), self.keyings(), self.op.maps_done))
        self.wake_all()

    def keyings(self) -> tuple[InputKeying, ...]:
        return tuple(
            InputKeying(
                content=no_content if i in self.node.by_content else None,
                prepare=no_work if i in self.node.prepared else None,
            )
            for i in range(len(self.node.inputs))
        )

    def end_run(self, error: CrozeError | None) -> None:
        if error is not None:
            self.ground()
            self.op.error = error
        elif self.retired:
            self.ground()
        else:
            self.graph.ran.append(self.number)
            values = [self.graph.value(self.number, output) for output in range(2)]
            self.op.results = [self.graph.results.make(value) for value in values]
        self.wake_all()

    def wake_all(self) -> None:
        for edge in self.edges.values():
            self.graph.wake(edge)

    def ground(self) -> None:
        self.graph.in_flight.remove(self, self.identity)
        self.identity = ()

    def forgive(self) -> None:
        edges = self.edges.values()
        if self.op.error is not None:
            for edge in edges:
                edge.move()
            self.op.error = None
        if any(edge.state.error for edge in edges):
            for edge in edges:
                edge.move(Happened.FORGIVEN)

    def retire(self) -> None:
        self.retired = True
        for work in self.works():
            for user in list(work.users):
                work.drop(user)
        for edge in self.edges.values():
            edge.move(Happened.RETIRED)
            if edge in self.graph.queue:
                self.graph.queue.remove(edge)
        for result in self.op.results or ():
            release(result)
        self.ground()
