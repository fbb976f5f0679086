"""The trace of one build: what its ops tell on the way, and the rest from its status log."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Final, Protocol, TypeVar

from croze.job_values import JobKey
from croze.status import StatusEvent, VertexState, VertexStatus
from croze.telemetry.spans import Attributes, Span, SpanContext, make_span, new_span_id

T = TypeVar("T")


class BuildTrace:
    """Spans below `parent`, the span of the call that the build is."""

    def __init__(self, parent: SpanContext) -> None:
        self.parent = parent
        self._ids: dict[str, bytes] = {}
        self._spans: list[Span] = []

    def context_of(self, digest: str) -> SpanContext:
        """The span of a vertex, which is only written when the build is over."""
        span_id = self._ids.get(digest) or self._ids.setdefault(digest, new_span_id())
        return SpanContext(self.parent.trace_id, span_id, self.parent.flags, self.parent.state)

    def add(
        self,
        name: str,
        start_ns: int,
        end_ns: int,
        *,
        vertex: str,
        attributes: Attributes | None = None,
        error: str = "",
    ) -> None:
        """Something that was done for a vertex."""
        above = self.context_of(vertex)
        span = make_span(
            name, above.child(), above, start_ns, end_ns, attributes=attributes, error=error
        )
        self._spans.append(span)

    def spans(self, events: Iterable[StatusEvent]) -> list[Span]:
        """All spans of the build, from what it said of itself too. To be called once."""
        vertices: dict[str, VertexState] = {}
        steps: dict[tuple[str, str], VertexStatus] = {}
        for event in events:
            if isinstance(event, VertexState):
                vertices[event.digest] = event
            elif isinstance(event, VertexStatus):
                steps[event.vertex, event.id] = event
        for step in steps.values():
            if step.started is not None and step.completed is not None:
                start_ns, end_ns = _ns(step.started), _ns(step.completed)
                self.add(step.name or step.id, start_ns, end_ns, vertex=step.vertex)
        added, self._spans = self._spans, []
        return [*self._vertex_spans(vertices.values()), *added]

    def _vertex_spans(self, states: Iterable[VertexState]) -> Iterator[Span]:
        for state in states:
            if state.started is not None and state.completed is not None:
                attributes: Attributes = {"vertex": state.digest, "cached": state.cached}
                yield make_span(
                    state.name,
                    self.context_of(state.digest),
                    self.parent,
                    _ns(state.started),
                    _ns(state.completed),
                    attributes=attributes,
                    error=state.error,
                )


def _ns(moment: datetime) -> int:
    return round(moment.timestamp() * 1e6) * 1000


TRACE: Final = JobKey[BuildTrace]("trace")
"""Where ops find the traces of the jobs they work for."""


class _Context(Protocol):
    """What of a solver's `OpContext` counts here."""

    @property
    def vertex(self) -> _Vertex: ...

    def job_values(self, key: JobKey[T]) -> Sequence[T]: ...


class _Vertex(Protocol):
    @property
    def digest(self) -> str: ...


@contextmanager
def traced(ctx: _Context, name: str, attributes: Attributes | None = None) -> Iterator[None]:
    """Something that an op does, for the traces of all builds that wait for it."""
    start_ns, error = time.time_ns(), ""
    try:
        yield
    except BaseException as failure:
        error = str(failure) or type(failure).__name__
        raise
    finally:
        end_ns = time.time_ns()
        for trace in traces_of(ctx):
            trace.add(
                name, start_ns, end_ns, vertex=ctx.vertex.digest, attributes=attributes, error=error
            )


def traces_of(ctx: _Context) -> Sequence[BuildTrace]:
    """The traces of the builds that an op works for."""
    return ctx.job_values(TRACE)


def trace_env(ctx: _Context) -> list[str]:
    """What tells a process which span it works for: that of the vertex, in the first build that
    wanted it. Not part of any cache key."""
    trace = next(iter(traces_of(ctx)), None)
    if trace is None:
        return []
    context = trace.context_of(ctx.vertex.digest)
    state = [f"TRACESTATE={context.state}"] if context.state else []
    return [f"TRACEPARENT={context.traceparent}", *state]
