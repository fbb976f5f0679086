"""`traceparent`, and spans as messages."""

from __future__ import annotations

import pytest

from croze.api import otlp_pb2
from croze.telemetry.spans import Attributes, make_span, parse_traceparent, root

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def test_traceparent_there_and_back() -> None:
    found = parse_traceparent(f"00-{TRACE}-{SPAN}-01", "a=b")
    assert found is not None
    assert (found.trace_id.hex(), found.span_id.hex()) == (TRACE, SPAN)
    assert (found.flags, found.state, found.remote) == (1, "a=b", True)
    assert found.traceparent == f"00-{TRACE}-{SPAN}-01"
    child = found.child()
    assert child.trace_id == found.trace_id
    assert child.span_id != found.span_id


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01-more",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
    ],
)
def test_bad_traceparents(text: str) -> None:
    assert parse_traceparent(text) is None


def test_later_versions_may_say_more() -> None:
    assert parse_traceparent(f"01-{TRACE}-{SPAN}-01-more") is not None


def test_attributes_keep_their_types() -> None:
    attributes: Attributes = {"s": "x", "b": True, "i": 3, "f": 0.5, "l": ["a", "b"]}
    context = root()
    span = make_span("n", context, None, 5, 4, attributes=attributes, error="bad")
    kinds = {a.key: a.value.WhichOneof("value") for a in span.attributes}
    assert kinds == {
        "s": "string_value",
        "b": "bool_value",
        "i": "int_value",
        "f": "double_value",
        "l": "array_value",
    }
    assert span.end_time_unix_nano == 5
    assert span.status.code == otlp_pb2.Status.STATUS_CODE_ERROR
    assert not span.parent_span_id
