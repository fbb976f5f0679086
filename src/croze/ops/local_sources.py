"""Vertices that bring in a directory of a client: what every build needs, and no cache has."""

from __future__ import annotations

from croze.ops.load import LoadedOp
from croze.solver.contract import Vertex
from croze.sources.local.options import SCHEME


def is_local_source(vertex: Vertex) -> bool:
    """Whether a vertex brings in a directory of a client."""
    op = vertex.op
    return isinstance(op, LoadedOp) and op.op.source.identifier.startswith(f"{SCHEME}://")


def local_sources_below(top: Vertex) -> list[Vertex]:
    """Directories of clients among `top` and all that it is made of."""
    local: list[Vertex] = []
    seen, stack = {top}, [top]
    while stack:
        vertex = stack.pop()
        if is_local_source(vertex):
            local.append(vertex)
        for edge in vertex.inputs:
            if edge.vertex not in seen:
                seen.add(edge.vertex)
                stack.append(edge.vertex)
    return local
