"""A trace as BuildKit keeps it with a build: one JSON object a span, one after the other.

The objects are those of OpenTelemetry Go's `tracetest.SpanStub`; the media type's name says OTLP
all the same (BuildKit `solver/llbsolver/history.go`, buildx `util/otelutil/span.go`).
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

import msgspec

from croze.api import otlp_pb2
from croze.telemetry.spans import Span
from croze.telemetry.traces import RecordedSpan

MEDIA_TYPE = "application/vnd.buildkit.otlp.json.v0"
Json = dict[str, object]

_STATUS = {
    otlp_pb2.Status.STATUS_CODE_UNSET: 0,
    otlp_pb2.Status.STATUS_CODE_ERROR: 1,
    otlp_pb2.Status.STATUS_CODE_OK: 2,
}
"""Go's numbers differ from the protocol's."""
_KINDS = {
    "bool_value": "BOOL",
    "int_value": "INT64",
    "double_value": "FLOAT64",
    "string_value": "STRING",
}


def lines(spans: Iterable[RecordedSpan]) -> Iterator[bytes]:
    """The blob's bytes, a piece for each span. Spans of a process share their resource."""
    last: otlp_pb2.Resource | None = None
    resource: list[Json] | None = None
    for one in spans:
        if one.resource is not last:
            last, resource = one.resource, _attributes(one.resource.attributes)
        yield msgspec.json.encode(_stub(one, resource)) + b"\n"


def _stub(one: RecordedSpan, resource: list[Json] | None) -> Json:
    """One span."""
    span = one.span
    scope = _scope(one.scope)
    return {
        "Name": span.name,
        "SpanContext": _context(span, span.span_id),
        "Parent": _context(span, span.parent_span_id),
        "SpanKind": span.kind,
        "StartTime": _time(span.start_time_unix_nano),
        "EndTime": _time(span.end_time_unix_nano),
        "Attributes": _attributes(span.attributes),
        "Events": [_event(event) for event in span.events] or None,
        "Links": [_link(link) for link in span.links] or None,
        "Status": {"Code": _STATUS[span.status.code], "Description": span.status.message},
        "DroppedAttributes": span.dropped_attributes_count,
        "DroppedEvents": span.dropped_events_count,
        "DroppedLinks": span.dropped_links_count,
        "ChildSpanCount": 0,
        "Resource": resource,
        "InstrumentationScope": scope,
        "InstrumentationLibrary": scope,
    }


def _context(span: Span, span_id: bytes) -> Json:
    trace_id = span.trace_id if span_id else bytes(16)
    return {
        "TraceID": trace_id.hex().zfill(32),
        "SpanID": span_id.hex().zfill(16),
        "TraceFlags": f"{span.flags & 0xFF if span_id else 0:02x}",
        "TraceState": span.trace_state if span_id else "",
        "Remote": False,
    }


def _scope(scope: otlp_pb2.InstrumentationScope) -> Json:
    return {"Name": scope.name, "Version": scope.version, "SchemaURL": "", "Attributes": {}}


def _event(event: Span.Event) -> Json:
    return {
        "Name": event.name,
        "Attributes": _attributes(event.attributes),
        "DroppedAttributeCount": event.dropped_attributes_count,
        "Time": _time(event.time_unix_nano),
    }


def _link(link: Span.Link) -> Json:
    context = {
        "TraceID": link.trace_id.hex(),
        "SpanID": link.span_id.hex(),
        "TraceFlags": f"{link.flags & 0xFF:02x}",
        "TraceState": link.trace_state,
        "Remote": False,
    }
    return {
        "SpanContext": context,
        "Attributes": _attributes(link.attributes),
        "DroppedAttributeCount": link.dropped_attributes_count,
    }


def _time(nanoseconds: int) -> str:
    """RFC 3339 with all digits, which `datetime` does not have."""
    seconds, rest = divmod(nanoseconds, 10**9)
    return f"{_second(seconds)}.{rest:09d}Z"


@functools.lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    """The spans of a build begin and end in a few of them."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _attributes(attributes: Sequence[otlp_pb2.KeyValue]) -> list[Json] | None:
    return [{"Key": each.key, "Value": _value(each.value)} for each in attributes] or None


def _value(value: otlp_pb2.AnyValue) -> Json:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return _slice(value.array_value)
    if kind in _KINDS:
        return {"Type": _KINDS[kind], "Value": getattr(value, kind)}
    return {"Type": "STRING", "Value": str(value).strip()}


def _slice(array: otlp_pb2.ArrayValue) -> Json:
    kinds = {each.WhichOneof("value") for each in array.values}
    kind = kinds.pop() if len(kinds) == 1 else None
    if kind is None or kind not in _KINDS:
        return {"Type": "STRINGSLICE", "Value": [str(each).strip() for each in array.values]}
    values = [getattr(each, kind) for each in array.values]
    return {"Type": f"{_KINDS[kind]}SLICE", "Value": values}
