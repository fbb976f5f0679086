"""Where all spans come together: the daemon's own, and those that clients send."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from copy import deepcopy
from typing import Protocol

from msgspec import Struct, field

from croze.api import otlp_pb2
from croze.telemetry.spans import Span

KEEP_S = 60.0
"""How long spans stay that no build has asked for yet, such as a client's first calls."""
_SWEEP_EVERY_S = 10.0
KEEP_SPANS = 10_000
"""The most spans of one trace."""
KEEP_RECEIVED_BYTES = 64 << 20
"""How much is kept of what clients have sent."""
_OVERHEAD_BYTES = 512
"""The size of a span as an object of Python's."""


class RecordedSpan(Struct, frozen=True):
    """A span, as it is on the wire, and where it comes from: a large build has thousands, and as a
    message of protobuf's each takes eight times as much."""

    trace_id: bytes
    data: bytes
    scope: otlp_pb2.InstrumentationScope
    resource: otlp_pb2.Resource

    @classmethod
    def of(
        cls, span: Span, scope: otlp_pb2.InstrumentationScope, resource: otlp_pb2.Resource
    ) -> RecordedSpan:
        return cls(span.trace_id, span.SerializeToString(), scope, resource)

    @property
    def span(self) -> Span:
        return Span.FromString(self.data)


class SpanExporter(Protocol):
    """Sends spans out of the process. Never blocks and never raises."""

    def put(self, spans: Sequence[RecordedSpan]) -> None:
        """Take finished spans; they are sent some time later, or dropped if there are too many."""


class _Trace(Struct):
    last_s: float
    received_bytes: int = 0
    spans: list[RecordedSpan] = field(default_factory=list)


class Traces:
    """All spans of the daemon: those of its builds and those that clients send. One for the
    daemon."""

    def __init__(self, resource: otlp_pb2.Resource, exporter: SpanExporter | None = None) -> None:
        self._resource = resource
        self._scope = otlp_pb2.InstrumentationScope(name="croze")
        self._exporter = exporter
        self._traces: dict[bytes, _Trace] = {}
        self._wanted: Counter[bytes] = Counter()
        self._swept_s = 0.0
        self._received_bytes = 0

    def want(self, trace_id: bytes) -> None:
        """A build wants all spans of its trace, until `take`."""
        self._wanted[trace_id] += 1

    def take(self, trace_id: bytes) -> list[RecordedSpan]:
        """What was recorded of a trace, for one that asked for it."""
        trace = self._traces.get(trace_id)
        self._wanted[trace_id] -= 1
        if self._wanted[trace_id] <= 0:
            del self._wanted[trace_id]
            self._drop(trace_id)
        return list(trace.spans) if trace is not None else []

    def add(self, spans: Iterable[Span]) -> None:
        """Take in spans of the daemon's own."""
        self._add([RecordedSpan.of(span, self._scope, self._resource) for span in spans])

    def receive(self, request: otlp_pb2.ExportTraceServiceRequest) -> None:
        """Take in spans of a client, or of a step of a build, which may be of anything: what is too
        much is dropped."""
        self._forget(time.monotonic())
        size = request.ByteSize()
        if self._received_bytes + size > KEEP_RECEIVED_BYTES:
            return
        spans = list(itertools.islice(_recorded(request), KEEP_SPANS))
        self._add(spans)
        for trace_id, cost in _costs(spans).items():
            self._traces[trace_id].received_bytes += cost
            self._received_bytes += cost

    def _add(self, spans: Sequence[RecordedSpan]) -> None:
        now = time.monotonic()
        self._forget(now)
        for one in spans:
            trace = self._traces.setdefault(one.trace_id, _Trace(now))
            trace.last_s = now
            if len(trace.spans) < KEEP_SPANS:
                trace.spans.append(one)
        if self._exporter is not None:
            self._exporter.put(spans)

    def _forget(self, now: float) -> None:
        if now < self._swept_s + _SWEEP_EVERY_S:
            return
        self._swept_s = now
        old = [
            trace_id
            for trace_id, trace in self._traces.items()
            if trace.last_s < now - KEEP_S and trace_id not in self._wanted
        ]
        for trace_id in old:
            self._drop(trace_id)

    def _drop(self, trace_id: bytes) -> None:
        if (trace := self._traces.pop(trace_id, None)) is not None:
            self._received_bytes -= trace.received_bytes


def _costs(spans: Iterable[RecordedSpan]) -> dict[bytes, int]:
    """What each trace keeps in memory: its spans, and where they come from, which others may share.
    A message may be of many traces."""
    costs: Counter[bytes] = Counter()
    counted: set[tuple[bytes, int]] = set()
    for one in spans:
        costs[one.trace_id] += len(one.data) + _OVERHEAD_BYTES
        for origin in (one.scope, one.resource):
            if (key := (one.trace_id, id(origin))) not in counted:
                counted.add(key)
                costs[one.trace_id] += origin.ByteSize()
    return costs


def _recorded(request: otlp_pb2.ExportTraceServiceRequest) -> Iterator[RecordedSpan]:
    """Copies: a part would keep the whole message in memory."""
    for sent in request.resource_spans:
        resource = deepcopy(sent.resource)
        for scoped in sent.scope_spans:
            scope = deepcopy(scoped.scope)
            for span in scoped.spans:
                yield RecordedSpan.of(span, scope, resource)
