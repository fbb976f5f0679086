"""Traces as pages: HTML without scripts, made whole here."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence

from msgspec import Struct

from croze.client.records.bundles import jaeger
from croze.client.records.bundles.spans import Span, attributes

_STYLE = """\
:root { color-scheme: light dark }
body { font: 14px/1.5 system-ui, sans-serif; margin: 1.5rem; overflow-x: hidden }
h1 { font-size: 1.2rem }
.row { display: grid; grid-template-columns: minmax(12rem, 34%) 6.5rem 1fr; gap: .75rem;
  align-items: center; padding: .1rem 0 }
.row:hover, summary:hover { background: color-mix(in srgb, currentColor 8%, transparent) }
.name { overflow: hidden; text-overflow: ellipsis; white-space: nowrap }
.time { text-align: right; font-variant-numeric: tabular-nums }
.lane { position: relative; height: .9rem;
  background: color-mix(in srgb, currentColor 6%, transparent) }
.bar { position: absolute; top: 0; height: 100%; min-width: 2px; background: #2f6fdb }
.failed .bar { background: #c8322b } .failed .name { color: #c8322b }
summary { cursor: pointer; list-style: none }
details dl { display: grid; grid-template-columns: max-content 1fr; gap: 0 1rem;
  margin: .2rem 2rem .6rem }
dd { margin: 0; overflow-wrap: anywhere; white-space: pre-wrap }
table { border-collapse: collapse } td, th { padding: .1rem 1rem .1rem 0; text-align: left }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums }
.slower { color: #c8322b } .faster { color: #23803c }
"""


class SpanNode(Struct, frozen=True):
    """A span in its trace. Times in nanoseconds; `depth` below the top."""

    span: Span
    depth: int
    start_ns: int
    end_ns: int


class SpanTrace(Struct, frozen=True):
    """The spans of a build, parents before children, in the order in which they began."""

    id: str
    nodes: tuple[SpanNode, ...]
    json: dict[str, object]

    @staticmethod
    def of(spans: Sequence[Span]) -> SpanTrace:
        return SpanTrace(spans[0].SpanContext.TraceID, tuple(_ordered(spans)), jaeger.trace(spans))

    @property
    def start_ns(self) -> int:
        """When the first span began, since 1970."""
        return min(node.start_ns for node in self.nodes)

    @property
    def duration_ns(self) -> int:
        """The time from the first span's beginning to the last one's end."""
        return max(node.end_ns for node in self.nodes) - self.start_ns


def _ordered(spans: Sequence[Span]) -> Iterator[SpanNode]:
    ids = {span.SpanContext.SpanID for span in spans}
    children: dict[str, list[SpanNode]] = {}
    for span in spans:
        parent = span.Parent.SpanID if span.Parent.SpanID in ids else ""
        parent = "" if parent == span.SpanContext.SpanID else parent
        start, end = jaeger.nanoseconds(span.StartTime), jaeger.nanoseconds(span.EndTime)
        children.setdefault(parent, []).append(SpanNode(span, 0, start, end))
    stack = [(node, 0) for node in _by_start(children.pop("", []))]
    while stack or children:
        if not stack:  # spans that are one another's parents
            stack = [(node, 0) for node in children.pop(next(iter(children)))]
        node, depth = stack.pop()
        yield SpanNode(node.span, depth, node.start_ns, node.end_ns)
        inner = children.pop(node.span.SpanContext.SpanID, [])
        stack += [(child, depth + 1) for child in _by_start(inner)]


def _by_start(nodes: list[SpanNode]) -> list[SpanNode]:
    return sorted(nodes, key=lambda node: node.start_ns, reverse=True)


def page(trace: SpanTrace) -> str:
    """The page of one build: each span as a bar in time."""
    total = trace.duration_ns or 1
    rows = "\n".join(_row(node, trace.start_ns, total) for node in trace.nodes)
    about = f"{len(trace.nodes)} spans, {_seconds(trace.duration_ns)}"
    link = f'<a href="/api/traces/{html.escape(trace.id)}">JSON for Jaeger</a>'
    return _html(f"Trace {trace.id}", f"<p>{about} · {link}</p>\n{rows}")


def _row(node: SpanNode, start_ns: int, total_ns: int) -> str:
    left = 100 * (node.start_ns - start_ns) / total_ns
    width = 100 * (node.end_ns - node.start_ns) / total_ns
    kind = "row failed" if node.span.Status.failed else "row"
    name = html.escape(node.span.Name)
    lane = f'<span class="bar" style="left:{left:.3f}%;width:{width:.3f}%"></span>'
    head = (
        f'<span class="name" style="padding-left:{node.depth}em" title="{name}">{name}</span>'
        f'<span class="time">{_seconds(node.end_ns - node.start_ns)}</span>'
        f'<span class="lane">{lane}</span>'
    )
    return f'<details><summary class="{kind}">{head}</summary>{_details(node.span)}</details>'


def _details(span: Span) -> str:
    details = [*attributes(span.Attributes).items()]
    if span.Status.Description:
        details.append(("status", span.Status.Description))
    for event in span.Events or ():
        details.append(
            (event.Name, attributes(event.Attributes).get("exception.message", event.Time))
        )
    items = (f"<dt>{html.escape(k)}</dt><dd>{html.escape(str(v))}</dd>" for k, v in details)
    return f"<dl>{''.join(items)}</dl>"


def comparison(before: SpanTrace, after: SpanTrace) -> str:
    """The page of two builds: how long each kind of span took in all, the largest differences
    first."""
    sums = _sums(before), _sums(after)
    names = sorted(
        sums[0].keys() | sums[1].keys(),
        key=lambda name: -abs(sums[1].get(name, 0) - sums[0].get(name, 0)),
    )
    links = " · ".join(
        f'<a href="/trace/{html.escape(one.id)}">{html.escape(one.id)}</a> '
        f"({_seconds(one.duration_ns)})"
        for one in (before, after)
    )
    rows = "\n".join(_compared(name, sums[0].get(name), sums[1].get(name)) for name in names)
    head = '<tr><th>span</th><th class="n">before</th><th class="n">after</th>'
    table = f'<table>{head}<th class="n">difference</th></tr>\n{rows}</table>'
    return _html("Two traces", f"<p>{links}</p>\n{table}")


def _sums(trace: SpanTrace) -> dict[str, int]:
    sums: dict[str, int] = {}
    for node in trace.nodes:
        sums[node.span.Name] = sums.get(node.span.Name, 0) + node.end_ns - node.start_ns
    return sums


def _compared(name: str, before: int | None, after: int | None) -> str:
    difference = (after or 0) - (before or 0)
    kind = "slower" if difference > 0 else "faster" if difference < 0 else ""
    cells = [_seconds(value) if value is not None else "–" for value in (before, after)]
    return (
        f"<tr><td>{html.escape(name)}</td>"
        + "".join(f'<td class="n">{cell}</td>' for cell in cells)
        + f'<td class="n {kind}">{"+" if difference > 0 else ""}{_seconds(difference)}</td></tr>'
    )


def _seconds(nanoseconds: int) -> str:
    size = abs(nanoseconds)
    if size >= 10**9:
        return f"{nanoseconds / 1e9:.2f} s"
    return f"{nanoseconds / 1e6:.2f} ms" if size >= 10**6 else f"{nanoseconds / 1e3:.0f} µs"


def _html(title: str, body: str) -> str:
    shown = html.escape(title)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{shown}</title>'
        f'<meta name="viewport" content="width=device-width">'
        f"<style>{_STYLE}</style></head>\n<body><h1>{shown}</h1>\n{body}\n</body></html>\n"
    )
