"""Pages of traces."""

from __future__ import annotations

from croze.cli.history.trace_page import SpanTrace, comparison, page
from croze.client.records.bundles.spans import AttributeValue, Context, Span, SpanAttribute, Status


def _span(name: str, id: str, parent: str, start: int, end: int, **more: Status) -> Span:
    return Span(
        name,
        Context("t" * 32, id),
        Context("t" * 32, parent),
        1,
        f"2026-01-01T00:00:{start:02}Z",
        f"2026-01-01T00:00:{end:02}Z",
        [SpanAttribute("<key>", AttributeValue("STRING", "<script>"))],
        Status=more.get("status", Status()),
    )


def test_spans_stand_below_their_parents() -> None:
    trace = SpanTrace.of(
        [
            _span("late", "c", "a", 5, 9, status=Status(1, "broke")),
            _span("early", "b", "a", 1, 4),
            _span("inner", "d", "b", 2, 3),
            _span("<top>", "a", "gone", 0, 10),
            _span("own parent", "e", "e", 3, 4),
        ]
    )
    assert [(node.span.Name, node.depth) for node in trace.nodes] == [
        ("<top>", 0),
        ("early", 1),
        ("inner", 2),
        ("late", 1),
        ("own parent", 0),
    ]
    text = page(trace)
    assert "<script>" not in text
    assert "&lt;top&gt;" in text
    assert 'class="row failed"' in text
    assert 'style="left:50.000%;width:40.000%"' in text
    assert "broke" in text


def test_a_trace_whose_spans_are_one_anothers_parents() -> None:
    trace = SpanTrace.of([_span("a", "a", "b", 0, 1), _span("b", "b", "a", 0, 1)])
    assert page(trace)


def test_two_traces_are_compared_by_name() -> None:
    before = SpanTrace.of([_span("same", "a", "", 0, 4), _span("gone", "b", "", 0, 1)])
    after = SpanTrace.of([_span("same", "a", "", 0, 2), _span("same", "b", "", 2, 8)])
    text = comparison(before, after)
    assert text.index("same") < text.index("gone")
    assert '<td class="n">4.00 s</td><td class="n">8.00 s</td><td class="n slower">+4.00 s' in text
    assert '<td class="n">1.00 s</td><td class="n">–</td><td class="n faster">-1.00 s' in text
