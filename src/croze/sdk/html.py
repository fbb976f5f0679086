"""Builds as HTML, for notebooks. Everything that comes from a build is escaped."""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import TYPE_CHECKING

from croze.progress.model import SCREEN_LINES, ShownVertex, Trace

if TYPE_CHECKING:
    from croze.progress.events import BuildWarning

_CELL = "text-align:left;vertical-align:top;padding:0 1em 0 0"


def result_html(
    names: Iterable[str], digest: str, ref: str, warnings: Iterable[BuildWarning]
) -> str:
    """How notebooks show a build's result: a table, and the warnings."""
    rows = [("image", ", ".join(names)), ("digest", digest), ("build", ref)]
    shown = "".join(_row(f"<b>{name}</b>", _code(text)) for name, text in rows if text)
    warned = "".join(f"<li>{html.escape(each.message)}</li>" for each in warnings)
    return f"<table>{shown}</table>" + (f"<ul>{warned}</ul>" if warned else "")


def steps_html(trace: Trace, ending: str) -> str:
    """A table of the steps, with the last lines of those that run or failed; then `ending`, which
    is HTML."""
    shown = [vertex for vertex in trace.vertices if not vertex.hidden]
    rows = "".join(_step(vertex, trace.now()) for vertex in shown)
    return f"<table>{rows}</table>{ending}"


def message(text: str) -> str:
    return f"<p>{html.escape(text)}</p>"


def _step(vertex: ShownVertex, now: int) -> str:
    name = _code(vertex.name)
    if vertex.error or not vertex.completed:
        name += _tail(vertex.screen.lines(SCREEN_LINES) if vertex.screen else ())
    if vertex.error:
        name += message(vertex.error)
    return _row(_sign(vertex), name, f"{vertex.seconds(now):.1f} s")


def _sign(vertex: ShownVertex) -> str:
    if vertex.canceled:
        return "canceled"
    if vertex.error:
        return "<b>failed</b>"
    if not vertex.completed:
        return "running"
    return "cached" if vertex.cached else "done"


def _tail(lines: Iterable[str]) -> str:
    text = "\n".join(lines)
    return f"<pre>{html.escape(text)}</pre>" if text else ""


def _code(text: str) -> str:
    return f"<code>{html.escape(text)}</code>"


def _row(*cells: str) -> str:
    return "<tr>" + "".join(f'<td style="{_CELL}">{cell}</td>' for cell in cells) + "</tr>"
