"""A trace as Jaeger's interface takes it. Source: docker/buildx `util/otelutil/jaeger`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

from croze.client.records.bundles.spans import Span, SpanAttribute
from croze.errors import InvalidRequest

Json = dict[str, object]
_KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")
_INTERNAL = 1
_TYPES = {"STRING": "string", "INT64": "int64", "BOOL": "bool", "FLOAT64": "float64"}


def trace(spans: Sequence[Span]) -> Json:
    """The document that Jaeger's interface takes for one trace. Raises `InvalidRequest` for a trace
    without spans."""
    if not spans:
        raise InvalidRequest("no trace data")
    return {
        "traceID": spans[0].SpanContext.TraceID,
        "spans": [_span(one, f"p{at}") for at, one in enumerate(spans)],
        "processes": _sorted({f"p{at}": _process(one) for at, one in enumerate(spans)}),
        "warnings": None,
    }


def _sorted(members: Json) -> Json:
    return {key: members[key] for key in sorted(members)}


def _span(span: Span, process: str) -> Json:
    start_ns, end_ns = nanoseconds(span.StartTime), nanoseconds(span.EndTime)
    shown: Json = {
        "traceID": span.SpanContext.TraceID,
        "spanID": span.SpanContext.SpanID,
        "flags": int(span.SpanContext.TraceFlags == "01"),
        "operationName": span.Name,
        "references": _references(span),
        "startTime": start_ns // 1000,
        "duration": (end_ns - start_ns) // 1000,
        "tags": _tags(span),
        "logs": _logs(span) or None,
        "processID": process,
        "warnings": None,
    }
    if not shown["flags"]:
        del shown["flags"]
    return shown


def _references(span: Span) -> list[Json]:
    references = [("FOLLOWS_FROM", link.SpanContext) for link in span.Links or ()]
    references.append(("CHILD_OF", span.Parent))
    return [
        {"refType": kind, "traceID": context.TraceID, "spanID": context.SpanID}
        for kind, context in references
    ]


def _tags(span: Span) -> list[Json]:
    tags = [_tag(one) for one in span.Attributes or ()]
    library = span.InstrumentationLibrary
    if library.Name:
        tags.append(_text("otel.library.name", library.Name))
        if library.Version:
            tags.append(_text("otel.library.version", library.Version))
    if span.SpanKind != _INTERNAL:
        kind = span.SpanKind if 0 <= span.SpanKind < len(_KINDS) else 0
        tags.append(_text("span.kind", _KINDS[kind]))
    if span.Status.Code in (2, "Ok"):
        tags.append(_text("otel.status_code", "OK"))
    if span.Status.failed:
        tags.append({"key": "error", "type": "bool", "value": True})
        tags.append(_text("otel.status_code", "ERROR"))
    if span.Status.Code not in (0, "Unset") and span.Status.Description:
        tags.append(_text("otel.status_description", span.Status.Description))
    return tags


def _logs(span: Span) -> list[Json]:
    logs: list[Json] = []
    for event in span.Events or ():
        fields = [_text("event", event.Name)] if event.Name else []
        fields += [_tag(one) for one in event.Attributes or ()]
        if event.DroppedAttributeCount:
            count = event.DroppedAttributeCount
            key = "otel.event.dropped_attributes_count"
            fields.append({"key": key, "type": "int64", "value": count})
        logs.append({"timestamp": nanoseconds(event.Time) // 1000, "fields": fields})
    return logs


def _process(span: Span) -> Json:
    tags = [_tag(one) for one in sorted(span.Resource or (), key=lambda one: one.Key)]
    name = next((tag["value"] for tag in tags if tag["key"] == "service.name"), "")
    rest = [tag for tag in tags if tag["key"] != "service.name"]
    return {"serviceName": name, "tags": rest or None}


def _tag(one: SpanAttribute) -> Json:
    kind, value = one.Value.Type, one.Value.Value
    if kind in _TYPES:
        return {"key": one.Key, "type": _TYPES[kind], "value": value}
    return _text(one.Key, json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def _text(key: str, value: str) -> Json:
    return {"key": key, "type": "string", "value": value}


def nanoseconds(text: str) -> int:
    """An RFC 3339 time in nanoseconds since the epoch. Raises `InvalidRequest`."""
    head, dot, tail = text.partition(".")
    digits = tail[: len(tail) - len(tail.lstrip("0123456789"))]
    zone = tail[len(digits) :]
    try:
        seconds = datetime.fromisoformat(head + zone if dot else head)
        return int(seconds.timestamp()) * 10**9 + int(f"{digits[:9]:0<9}" if dot else 0)
    except ValueError:
        raise InvalidRequest(f"{text} is no time (RFC 3339)") from None
