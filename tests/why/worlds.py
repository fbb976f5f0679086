"""Random Dockerfiles, and a world in which they are built on the real solver."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from hypothesis import strategies as st

from croze.api import ops_pb2
from croze.errors import CrozeError
from croze.fs.content.checksum import Query
from croze.image.platform import default_platform
from croze.ops.content import ContentKey
from croze.ops.load import LoadedOp
from croze.solver.contract import CacheMap, Edge, InputKeying, OpContext, Result, Vertex
from croze.solver.observe import VertexFacts
from croze.why.history import PastBuilds
from tests.solver.arithmetic import Number, Results, sha

FILES = 3


Tree = tuple[int, ...]


State = tuple[object, ...]


@dataclass(frozen=True)
class Line:
    """A line of a Dockerfile: what it stands on, and what may be edited."""

    kind: str
    """`RUN`, `COPY` some files of the context, or `FROM` (COPY --from, of what a step made)."""
    below: int
    """The line that it stands on; -1 for nothing."""
    other: int = -1
    files: frozenset[int] = frozenset()
    narrow: bool = False
    """Makes the same whatever it stands on."""
    text: int = 0
    value: int = 0
    """Of an environment variable."""


@dataclass(frozen=True)
class Source:
    """All that a user can edit, and go back to."""

    lines: tuple[Line, ...]
    tree: Tree = (0,) * FILES


@dataclass
class Try:
    """One attempt at a line."""

    line: int
    state: State
    source: Source
    end: str
    result: str = ""


@dataclass(frozen=True)
class Wish:
    """What the user does before a build; numbers select, modulo what there is."""

    act: str
    what: int
    back: int | None = None
    """First go back to an earlier source."""
    stops: int | None = None
    """The line where this build fails or is cancelled, if it gets there."""
    fails: bool = False
    target: int | None = None
    """The line that is built; the last one otherwise."""


ACTS = ("file", "file", "value", "text", "prune", "prune all", "forced", "again")


SOME = st.one_of(st.none(), st.none(), st.integers(0, 11))


WISHES = st.lists(
    st.builds(Wish, st.sampled_from(ACTS), st.integers(0, 11), SOME, SOME, st.booleans(), SOME),
    min_size=3,
    max_size=10,
)


@st.composite
def dockerfiles(draw: st.DrawFn) -> Source:
    lines: list[Line] = []
    for number in range(draw(st.integers(1, 5))):
        kind = draw(st.sampled_from(("RUN", "COPY", "FROM") if number else ("RUN", "COPY")))
        lines.append(
            Line(
                kind,
                draw(st.integers(max(-1, number - 2), number - 1)),
                draw(st.integers(0, number - 1)) if kind == "FROM" else -1,
                draw(st.frozensets(st.integers(0, FILES - 1), min_size=1)),
                draw(st.booleans()) and draw(st.booleans()),
            )
        )
    return Source(tuple(lines))


class TreeKey(ContentKey):
    """The content of a number, or of some files of the context."""

    def __init__(self, files: Iterable[int], world: World) -> None:
        self.queries = tuple(Query(str(f)) for f in sorted(files)) or (Query(),)
        self._files, self._world = tuple(sorted(files)), world

    async def __call__(self, result: Result, ctx: OpContext) -> str:
        assert isinstance(result, Number)
        tree = self._world.trees.get(result.id)
        held = [tree[f] for f in self._files] if tree is not None else [result.value]
        return sha(f"content {held}")


@dataclass
class World:
    """Outside the solver: runs lines, and writes down what came of it."""

    history: PastBuilds
    stops: int = -1
    fails: bool = False
    source: Source = field(default_factory=lambda: Source(()))
    results: Results = field(default_factory=Results)
    trees: dict[str, Tree] = field(default_factory=dict)
    ledger: list[Try] = field(default_factory=list)
    values: dict[State, int] = field(default_factory=dict)
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    builds: int = 0
    clock: int = 1

    # What is built

    def graph(self, *, forced: int | None) -> list[Vertex]:
        """The context, and a vertex for each line."""
        op = ops_pb2.Op()
        op.source.identifier = "local://context"
        vertices = [_vertex("[internal] load build context", op, (), f"context {self.builds}")]
        count = len(self.source.lines)
        for number, line in enumerate(self.source.lines):
            op = ops_pb2.Op()
            op.exec.meta.args.append(f"{line.kind} {line.text}")
            op.exec.meta.env.append(f"V={line.value}")
            inputs = [vertices[line.below + 1]] if line.below >= 0 else []
            inputs += [vertices[0]] if line.kind == "COPY" else []
            inputs += [vertices[line.other + 1]] if line.kind == "FROM" else []
            if not inputs:
                inputs = [vertices[0]]
            name = f"[{number + 1}/{count}] {line.kind} {number} {line.text}"
            vertices.append(_vertex(name, op, inputs, f"line {number}", forced=number == forced))
        return vertices

    def number(self, vertex: Vertex) -> int:
        return -1 if vertex.name.startswith("[internal]") else int(vertex.name[1]) - 1

    def content_input(self, number: int) -> int:
        """Which input counts by content; the context always does."""
        line = self.source.lines[number]
        if line.kind == "RUN":
            return 0 if line.below < 0 else -1
        return 1 if line.below >= 0 else 0

    def files_of(self, number: int) -> frozenset[int]:
        line = self.source.lines[number]
        if line.kind == "FROM":
            return frozenset()
        return line.files if line.kind == "COPY" or line.below < 0 else frozenset()

    def state(self, number: int) -> State:
        """All that a line's result hangs on: equal states have one result."""
        line = self.source.lines[number]
        parts: list[object] = [number, line.kind, line.text, line.value]
        if line.below >= 0:
            parts.append(self.state(line.below))
        if line.kind == "FROM":
            parts.append(self.value(line.other))
        parts.append(tuple(self.source.tree[f] for f in sorted(self.files_of(number))))
        return tuple(parts)

    def value(self, number: int) -> int:
        line = self.source.lines[number]
        made = number if line.narrow else self.state(number)
        return int(hashlib.sha256(repr(made).encode()).hexdigest()[:12], 16)

    # The solver's side

    def resolve(self, vertex: Vertex) -> LineOp:
        return LineOp(self, vertex)

    def missed(self, facts: VertexFacts, ctx: OpContext) -> None:
        pass

    def lost(self, results: Sequence[str]) -> None:
        self.history.lost(results, self.tick())

    def tick(self) -> int:
        self.clock += 1
        return self.clock


def _vertex(
    name: str, op: ops_pb2.Op, inputs: Iterable[Vertex], salt: str, *, forced: bool = False
) -> Vertex:
    data = op.SerializeToString()
    edges = tuple(Edge(v) for v in inputs)
    digest = sha(f"{salt} {data.hex()} {[e.vertex.digest for e in edges]} {forced}")
    loaded = LoadedOp(op, data, default_platform())
    return Vertex(digest, loaded, edges, name, ignore_cache=forced)


class LineOp:
    """An op of the world."""

    def __init__(self, world: World, vertex: Vertex) -> None:
        self._world, self._vertex = world, vertex
        self._number = world.number(vertex)

    async def cache_map(self, ctx: OpContext, index: int) -> CacheMap:
        world, number = self._world, self._number
        if number < 0:
            return CacheMap(f"random:{self._vertex.digest}")
        by_content = world.content_input(number)
        keyings = [
            InputKeying("", TreeKey(world.files_of(number), world)) if i == by_content
            else InputKeying()
            for i in range(len(self._vertex.inputs))
        ]  # fmt: skip
        assert isinstance(self._vertex.op, LoadedOp)
        return CacheMap(sha(f"{number} {self._vertex.op.data.hex()}"), tuple(keyings))

    async def execute(self, ctx: OpContext, inputs: Sequence[Result]) -> Sequence[Result]:
        world, number = self._world, self._number
        if number < 0:
            made = world.results.make(0)
            world.trees[made.id] = world.source.tree
            return [made]
        attempt = Try(number, world.state(number), world.source, "stopped")
        world.ledger.append(attempt)
        if world.stops == number and world.fails:
            attempt.end = "failed"
            raise CrozeError("no luck")
        if world.stops == number:
            world.reached.set()
            await asyncio.Event().wait()
        made = world.results.make(world.value(number))
        attempt.end, attempt.result = "made", made.id
        return [made]
