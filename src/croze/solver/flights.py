"""Executions by their cache key, so that equal steps of different vertices run once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from croze.solver.vertex import ActiveVertex

Step = tuple[int, str, str, str]
"""(input index, cache map digest, selector, key id of the input); index -1 for the op itself."""

Signature = Sequence[frozenset[Step]]
"""For each input the steps that lead from it; any one of them identifies the input."""


class Flights:
    """Vertices that run or have run and are still held. Two are the same execution when for every
    input they have a step in common."""

    def __init__(self) -> None:
        self._by_step: dict[Step, dict[ActiveVertex, None]] = {}

    def add(self, vertex: ActiveVertex, signature: Signature) -> None:
        for step in _steps(signature):
            self._by_step.setdefault(step, {})[vertex] = None

    def remove(self, vertex: ActiveVertex, signature: Signature) -> None:
        for step in _steps(signature):
            at_step = self._by_step.get(step, {})
            at_step.pop(vertex, None)
            if not at_step:
                self._by_step.pop(step, None)

    def find(self, signature: Signature) -> Iterator[ActiveVertex]:
        """Executions that do the same, oldest first."""
        if not signature:
            return
        others = [self._at(steps) for steps in signature[1:]]
        for vertex in self._at(signature[0]):
            if all(vertex in other for other in others):
                yield vertex

    def _at(self, steps: frozenset[Step]) -> dict[ActiveVertex, None]:
        found: dict[ActiveVertex, None] = {}
        for step in steps:
            found.update(self._by_step.get(step, {}))
        return found

    def __len__(self) -> int:
        return len(self._by_step)


def _steps(signature: Signature) -> Iterator[Step]:
    for steps in signature:
        yield from steps
