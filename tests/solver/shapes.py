"""Graphs of any size: for measuring."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from croze.solver.contract import Vertex
from tests.solver.arithmetic import Spec, sha, vertex

_WIDTH: Final = 50
_COPY: Final = Spec(add=1, content_inputs=frozenset({1}))


def chain(size: int) -> Vertex:
    """One after the other, as the lines of a Dockerfile."""
    top = vertex("v0", spec=Spec(add=1))
    for number in range(1, size):
        top = vertex(f"v{number}", top)
    return top


def fan(size: int) -> Vertex:
    """All beside each other, below one."""
    base = vertex("base", spec=Spec(add=1))
    return vertex("top", *(vertex(f"w{number}", base) for number in range(size)))


def lattice(size: int) -> Vertex:
    """Rows that each stand on two of the row below, one of them keyed by content."""
    row = [vertex(f"0.{column}", spec=Spec(add=1)) for column in range(_WIDTH)]
    for number in range(1, size // _WIDTH):
        below = zip(row, row[1:] + row[:1], strict=True)
        row = [
            vertex(f"{number}.{column}", left, right, spec=_COPY)
            for column, (left, right) in enumerate(below)
        ]
    return vertex("top", *row)


def crowd(size: int) -> Vertex:
    """Each does the same to a base that they have in common and to something of its own, as stages
    that copy a file each: one key leads to all of them."""
    base = vertex("base", spec=Spec(add=1))
    spec = Spec(add=1, maps=(sha("copy"),))
    own = (vertex(f"own{number}", spec=Spec(add=number)) for number in range(size // 2))
    return vertex("top", *(vertex(f"c{n}", base, each, spec=spec) for n, each in enumerate(own)))


SHAPES: Final[Mapping[str, Callable[[int], Vertex]]] = {
    "chain": chain,
    "fan": fan,
    "lattice": lattice,
    "crowd": crowd,
}
