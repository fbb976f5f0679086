"""Calls of an op: what it sees of the builds that want its vertex, and those that take their time,
of which the watchers of the vertex are told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from croze.errors import as_own
from croze.job_values import JobKey
from croze.solver.contract import Edge, Result
from croze.solver.matching import keying_of
from croze.solver.request import SolvedResult
from croze.solver.views import VertexView

T = TypeVar("T")


class VertexContext:
    """An `OpContext` of a vertex: nothing but a view of it, made anew for each use."""

    __slots__ = ("_active", "build", "progress", "vertex")

    def __init__(
        self, active: VertexView, build: Callable[[Edge], Awaitable[SolvedResult]]
    ) -> None:
        self._active = active
        self.vertex = active.vertex
        self.progress = active.reporter
        self.build = build
        """Solves another edge for everyone who wants this vertex."""

    def sessions(self) -> Sequence[str]:
        ids = (id for job in self._active.jobs for id in job.session_ids())
        return tuple(dict.fromkeys(ids))

    def job_values(self, key: JobKey[T]) -> Sequence[T]:
        return tuple(value for job in self._active.jobs for value in job.values_of(key))


async def content_key(active: VertexView, input: int) -> str:
    """The key of an input by its content, empty where the op wants the input prepared alone. The
    input's result must be there. Raises `CrozeError`, which names the vertex."""
    keying = keying_of(active.state.maps, input)
    edge = active.vertex.inputs[input]
    result = active.graph.edge(edge).clone_result()
    try:
        if keying.prepare is not None:
            await keying.prepare(result, active.graph.actives[edge.vertex.digest].context)
        if keying.content is None:
            return ""
        return await keying.content(result, active.context)
    except Exception as err:
        active.reporter.start()
        active.reporter.complete(error=str(as_own(err)))
        raise active.named_error(err, "failed to compute cache key") from err
    finally:
        await result.release()


async def outputs(active: VertexView) -> Sequence[Result]:
    """What the op makes of its inputs, whose results must be there. Raises `CrozeError`, which
    names the vertex."""
    assert active.op is not None
    inputs = [active.graph.edge(e).clone_result() for e in active.vertex.inputs]
    active.reporter.start()
    try:
        results = await active.op.execute(active.context, inputs)
    except Exception as err:
        active.reporter.complete(error=str(as_own(err)))
        raise active.named_error(err) from err
    except BaseException:
        active.reporter.complete(error="context canceled")
        raise
    finally:
        for result in inputs:
            await result.release()
    active.reporter.complete()
    return results
