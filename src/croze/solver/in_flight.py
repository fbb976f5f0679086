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
        """Note that a vertex runs as this identity."""
        for step in _steps(identity):
            at_step = self._by_step.get(step)
            if at_step is None:
                self._by_step[step] = {vertex: None}
            else:
                at_step[vertex] = None

    def remove(self, vertex: V, identity: Signature) -> None:
        """Forget it: nobody holds what it made."""
        for step in _steps(identity):
            at_step = self._by_step.get(step)
            if at_step is not None:
                at_step.pop(vertex, None)
                if not at_step:
                    del self._by_step[step]

    def find(self, identity: Signature) -> Iterator[V]:
        """Executions that do the same, oldest first."""
        inputs = [self._at(steps) for steps in identity]
        if not inputs:
            return
        # Thousands may have one input in common, and nothing else.
        fewest = min(inputs, key=lambda at_steps: sum(map(len, at_steps)))
        for vertex in {vertex: None for at_step in fewest for vertex in at_step}:
            if all(any(vertex in at_step for at_step in at_steps) for at_steps in inputs):
                yield vertex

    def _at(self, steps: frozenset[Step]) -> list[dict[V, None]]:
        at_steps = (self._by_step.get(step) for step in steps)
        return [at_step for at_step in at_steps if at_step is not None]

    def __len__(self) -> int:
        return len(self._by_step)


def _steps(identity: Signature) -> Iterator[Step]:
    for steps in identity:
        yield from steps
