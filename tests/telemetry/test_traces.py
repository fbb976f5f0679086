"""Spans of all origins, by trace; and as BuildKit keeps them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from croze.api import otlp_pb2
from croze.status import StatusEvent, VertexState, VertexStatus
from croze.telemetry import stubs
from croze.telemetry.build import BuildTrace
from croze.telemetry.spans import Attributes, SpanContext, key_values, make_span, root
from croze.telemetry.traces import KEEP_RECEIVED_BYTES, KEEP_SPANS, RecordedSpan, Traces

RESOURCE = otlp_pb2.Resource(attributes=key_values({"service.name": "buildkitd"}))
START = datetime(2026, 1, 2, 3, 4, 5, 678000, UTC)


def sent(context: SpanContext) -> otlp_pb2.ExportTraceServiceRequest:
    resource = otlp_pb2.Resource(attributes=key_values({"service.name": "buildx"}))
    request = otlp_pb2.ExportTraceServiceRequest()
    scoped = request.resource_spans.add(resource=resource).scope_spans.add()
    scoped.spans.append(make_span("client", context, None, 1, 2))
    return request


def test_a_build_gets_all_spans_of_its_trace_and_no_others() -> None:
    traces, mine, other = Traces(RESOURCE), root(), root()
    traces.receive(sent(mine))
    traces.want(mine.trace_id)
    traces.add([make_span("own", mine.child(), mine, 1, 2), make_span("x", other, None, 1, 2)])
    assert [one.span.name for one in traces.take(mine.trace_id)] == ["client", "own"]
    traces.want(mine.trace_id)
    assert traces.take(mine.trace_id) == []


def test_what_strangers_send_is_bounded() -> None:
    """Every step of a build may send spans, as large and as many as it likes."""
    traces = Traces(RESOURCE)
    contexts = [root() for _ in range(40)]
    for context in contexts:
        request = sent(context)
        request.resource_spans[0].resource.attributes.extend(key_values({"x": "y" * (4 << 20)}))
        traces.receive(request)
    remembered = [context for context in contexts if traces.take(context.trace_id)]
    assert len(remembered) * (4 << 20) <= KEEP_RECEIVED_BYTES < (len(remembered) + 2) * (4 << 20)
    mine = root()
    traces.want(mine.trace_id)
    traces.receive(sent(mine))
    assert len(traces.take(mine.trace_id)) == 1, "what was taken makes room"


def test_a_message_of_many_traces_leaves_room_for_others() -> None:
    """It is kept once, not for each of them."""
    traces, mine, request = Traces(RESOURCE), root(), sent(root())
    scoped = request.resource_spans[0].scope_spans[0]
    scoped.spans.extend([make_span("step", root(), None, 1, 2) for _ in range(500)])
    traces.receive(request)
    traces.want(mine.trace_id)
    traces.receive(sent(mine))
    assert len(traces.take(mine.trace_id)) == 1


def test_a_message_of_very_many_spans() -> None:
    """Each is two bytes, and takes five hundred here."""
    request = otlp_pb2.ExportTraceServiceRequest()
    scoped = request.resource_spans.add().scope_spans.add()
    scoped.spans.extend([otlp_pb2.Span()] * (2 * KEEP_SPANS))
    counts: list[int] = []

    class Exporter:
        def put(self, spans: Sequence[RecordedSpan]) -> None:
            counts.append(len(spans))

    Traces(RESOURCE, Exporter()).receive(request)
    assert counts == [KEEP_SPANS]


def test_two_builds_of_one_trace() -> None:
    traces, mine = Traces(RESOURCE), root()
    traces.want(mine.trace_id)
    traces.want(mine.trace_id)
    traces.add([make_span("own", mine, None, 1, 2)])
    assert len(traces.take(mine.trace_id)) == 1
    assert len(traces.take(mine.trace_id)) == 1


def test_a_build_told_by_its_status() -> None:
    later = START + timedelta(seconds=1)
    trace = BuildTrace(root())
    trace.add("run container", 10, 20, vertex="sha256:a", error="exit code: 1")
    events: list[StatusEvent] = [
        VertexState("sha256:a", (), "RUN false", started=START),
        VertexStatus("extracting", "sha256:a", "", 0, 0, later, started=START, completed=later),
        VertexStatus("running on", "sha256:a", "", 0, 0, later, started=START),
        VertexState("sha256:a", (), "RUN false", started=START, completed=later, error="bad"),
        VertexState("sha256:b", (), "never started"),
    ]
    vertex, container, step = trace.spans(events)
    assert (vertex.name, container.name, step.name) == ("RUN false", "run container", "extracting")
    assert vertex.parent_span_id == trace.parent.span_id
    assert container.parent_span_id == step.parent_span_id == vertex.span_id
    assert vertex.end_time_unix_nano - vertex.start_time_unix_nano == 10**9
    assert vertex.status.message == "bad"


def test_stubs() -> None:
    traces = Traces(RESOURCE)
    parent = SpanContext(bytes(15) + b"\1", bytes(7) + b"\2")
    context = SpanContext(parent.trace_id, bytes(7) + b"\3")
    attributes: Attributes = {"n": 3, "l": ["a"], "b": False}
    span = make_span("s", context, parent, 1_700_000_000_123456789, 1_700_000_001_000000000)
    span.attributes.extend(key_values(attributes))
    traces.want(context.trace_id)
    traces.add([span, make_span("failed", parent, None, 0, 0, error="bad")])
    first, second = [json.loads(line) for line in stubs.lines(traces.take(context.trace_id))]
    assert first["SpanContext"] == {
        "TraceID": "0" * 31 + "1",
        "SpanID": "0" * 15 + "3",
        "TraceFlags": "01",
        "TraceState": "",
        "Remote": False,
    }
    assert first["Parent"]["SpanID"] == "0" * 15 + "2"
    assert first["StartTime"] == "2023-11-14T22:13:20.123456789Z"
    assert first["Attributes"] == [
        {"Key": "n", "Value": {"Type": "INT64", "Value": 3}},
        {"Key": "l", "Value": {"Type": "STRINGSLICE", "Value": ["a"]}},
        {"Key": "b", "Value": {"Type": "BOOL", "Value": False}},
    ]
    assert first["Resource"][0]["Value"]["Value"] == "buildkitd"
    assert second["Parent"]["TraceID"] == "0" * 32
    assert second["Status"] == {"Code": 1, "Description": "bad"}
