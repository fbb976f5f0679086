"""Dry runs of a target, in a world of which one says what may run there."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence

from croze.solver.caches import CacheSource
from croze.solver.contract import Edge, Result, Vertex
from croze.solver.probe import ExpectedVertex
from croze.solver.solver import Solver

_IDS = itertools.count()


class Rules:
    """A `ProbeWorld`: named sources may run, named values are far away."""

    def __init__(self, may_run: Collection[str] = (), far: Collection[str] = ()) -> None:
        self._may_run = may_run
        self._far = far

    def may_run(self, vertex: Vertex) -> bool:
        return vertex.name in self._may_run

    def at_hand(self, result: Result) -> bool:
        return result.id not in self._far


async def probe(
    solver: Solver,
    target: Vertex,
    rules: Rules | None = None,
    *,
    caches: Sequence[CacheSource] = (),
) -> list[ExpectedVertex]:
    async with solver.job(f"probe-{next(_IDS)}") as job:
        job.look_into(caches)
        forecast = await job.probe(Edge(target), rules or Rules())
        await forecast.release()
        return list(forecast.expected)
