"""Spans as OTLP messages, and the W3C's `traceparent` (Trace Context, section 3.2)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextvars import ContextVar

from msgspec import Struct

from croze.api import otlp_pb2
from croze.patterns import lazy_pattern

Value = str | bool | int | float | Sequence[str]
Attributes = Mapping[str, Value]
Span = otlp_pb2.Span

_TRACEPARENT = lazy_pattern(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_REMOTE_FLAGS = 0x300
"""OTLP: whether the parent is remote is known (bit 8), and it is (bit 9)."""


class SpanContext(Struct, frozen=True):
    """Names a span. `state` is the trace's `tracestate`."""

    trace_id: bytes
    span_id: bytes
    flags: int = 1
    state: str = ""
    remote: bool = False

    @property
    def traceparent(self) -> str:
        """The text that travels."""
        return f"00-{self.trace_id.hex()}-{self.span_id.hex()}-{self.flags:02x}"

    def child(self) -> SpanContext:
        """A new span in the same trace."""
        return SpanContext(self.trace_id, new_span_id(), self.flags, self.state)


CURRENT: ContextVar[SpanContext | None] = ContextVar("span", default=None)
"""The span of the call that is being served."""


def new_span_id() -> bytes:
    """A random id of 8 bytes."""
    return os.urandom(8)


def root() -> SpanContext:
    """The first span of a trace of its own."""
    return SpanContext(os.urandom(16), new_span_id())


def parse_traceparent(text: str, state: str = "") -> SpanContext | None:
    """The context; None if it is not valid: the trace then starts anew, as the standard asks."""
    match = _TRACEPARENT.fullmatch(text.strip())
    if match is None or text.startswith("ff") or (text.startswith("00") and match[4]):
        return None
    trace_id, span_id = bytes.fromhex(match[1]), bytes.fromhex(match[2])
    if not any(trace_id) or not any(span_id):
        return None
    return SpanContext(trace_id, span_id, int(match[3], 16), state, remote=True)


def make_span(
    name: str,
    context: SpanContext,
    parent: SpanContext | None,
    start_ns: int,
    end_ns: int,
    *,
    kind: Span.SpanKind.ValueType = Span.SPAN_KIND_INTERNAL,
    attributes: Attributes | None = None,
    error: str = "",
) -> Span:
    """A span that is over; times in nanoseconds since the epoch."""
    span = Span(
        trace_id=context.trace_id,
        span_id=context.span_id,
        trace_state=context.state,
        parent_span_id=parent.span_id if parent is not None else b"",
        name=name,
        kind=kind,
        start_time_unix_nano=start_ns,
        end_time_unix_nano=max(start_ns, end_ns),
        attributes=key_values(attributes or {}),
        flags=context.flags | (_REMOTE_FLAGS if parent is not None and parent.remote else 0),
    )
    if error:
        span.status.code = otlp_pb2.Status.STATUS_CODE_ERROR
        span.status.message = error
    return span


def key_values(attributes: Attributes) -> list[otlp_pb2.KeyValue]:
    """Attributes on the wire."""
    return [otlp_pb2.KeyValue(key=key, value=any_value(v)) for key, v in attributes.items()]


def any_value(value: Value) -> otlp_pb2.AnyValue:
    match value:
        case str():
            return otlp_pb2.AnyValue(string_value=value)
        case bool():
            return otlp_pb2.AnyValue(bool_value=value)
        case int():
            return otlp_pb2.AnyValue(int_value=value)
        case float():
            return otlp_pb2.AnyValue(double_value=value)
    values = [any_value(each) for each in value]
    return otlp_pb2.AnyValue(array_value=otlp_pb2.ArrayValue(values=values))
