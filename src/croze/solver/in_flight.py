"""Executions by their cache key, so that equal steps of different vertices run once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

from croze.solver.inputs import Signature, Step

V = TypeVar("V")


class InFlight(Generic[V]):
    """Vertices that run or have run and are still held. Two are the same execution when for every
    input they have a step in common."""

    def __init__(self) -> None:
        self._by_step: dict[Step, dict[V, None]] = {}

    def add(self, vertex: V, identity: Signature) -> None:
        for step in _steps(identity):
            at_step = self._by_step.get(step)
            if at_step is None:
                self._by_step[step] = {vertex: None}
            else:
                at_step[vertex] = None

    def remove(self, vertex: V, identity: Signature) -> None:
        for step in _steps(identity):
            at_step = self._by_step.get(step)
            if at_step is not None:
                at_step.pop(vertex, None)
                if not at_step:
                    del self._by_step[step]

    def find(self, identity: Signature) -> Iterator[V]:
        """Executions that do the same, oldest first."""
        first = self._at(identity[0]) if identity else None
        if not first:
            return
        others = [self._at(steps) for steps in identity[1:]]
        for vertex in first:
            if all(vertex in other for other in others):
                yield vertex

    def _at(self, steps: frozenset[Step]) -> dict[V, None]:
        vertices: dict[V, None] = {}
        for step in steps:
            at_step = self._by_step.get(step)
            if at_step is not None:
                vertices.update(at_step)
        return vertices

    def __len__(self) -> int:
        return len(self._by_step)


def _steps(identity: Signature) -> Iterator[Step]:
    for steps in identity:
        yield from steps
