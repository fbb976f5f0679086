"""What the display shows: headings, steps, counters and log lines, as many as there is room for.

While the build runs, a stage that has nothing running is one row, and a running step has the last
lines of its log below it. The last drawing has every step, for whoever scrolls back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum

from msgspec import Struct

from croze.progress.intervals import Interval
from croze.progress.model import ProgressBar, ShownVertex
from croze.progress.size import format_progress
from croze.progress.terminal.stages import StageProgress, StageStep

BARS = 3
"""Counters shown of one step; more of them are shown as their sum."""


class Mark(IntEnum):
    """What stands at the beginning of a row."""

    NONE = 0
    RUNNING = 1
    DONE = 2
    CACHED = 3
    FAILED = 4
    CANCELED = 5
    WARNING = 6
    LOG = 7


class Need(IntEnum):
    """What stays when there is little room: the lowest first."""

    ALWAYS = 0
    RUNNING = 1
    HEADING = 2
    STAGE = 3
    COUNTER = 4
    ENDED = 5


class TerminalRow(Struct, frozen=True):
    """A row before it is fitted into the terminal's width."""

    mark: Mark
    text: str
    need: Need
    depth: int = 0
    intervals: Sequence[Interval] | None = None
    """When what it tells of ran; no time is shown without."""
    vertex: ShownVertex | None = None
    """The running step whose log may follow."""


def all_rows(stages: Iterable[StageProgress]) -> list[TerminalRow]:
    """Every step, with its counters; for the last drawing."""
    return [row for stage in stages for row in _whole(stage)]


def fitting_rows(stages: Iterable[StageProgress], room: int, log_lines: int) -> list[TerminalRow]:
    """What matters most in `room` rows, each running step with up to `log_lines` of its log."""
    rows = [row for stage in stages for row in _live(stage)]
    needed = sum(row.need < Need.ENDED for row in rows)
    talking = sum(row.vertex is not None and bool(row.vertex.logged) for row in rows)
    each = min(log_lines, max(room - needed, 0) // talking) if talking else 0
    rows = _most_needed(rows, max(room - each * talking, 0))
    return [line for row in rows for line in _with_log(row, each)]


def _whole(stage: StageProgress) -> Iterator[TerminalRow]:
    if stage.alone:
        yield from _step(stage.steps[0], 0, name=stage.steps[0].vertex.name)
        return
    yield _heading(stage, stage.name)
    for step in stage.steps:
        yield from _step(step, 1)


def _live(stage: StageProgress) -> Iterator[TerminalRow]:
    if stage.alone:
        yield from _step(stage.steps[0], 0, name=stage.steps[0].vertex.name, live=True)
        return
    if not stage.running and not stage.failed:
        yield _heading(stage, f"{stage.name} {_counts(stage)}", need=Need.STAGE)
        return
    yield _heading(stage, f"{stage.name} {_counts(stage)}")
    for step in stage.steps:
        yield from _step(step, 1, live=True)


def _counts(stage: StageProgress) -> str:
    total = len(stage.steps) + stage.waiting
    text = f"({len(stage.ended)}/{total})"
    return f"{text} {stage.cached} CACHED" if stage.cached else text


def _heading(stage: StageProgress, text: str, need: Need = Need.HEADING) -> TerminalRow:
    if stage.failed:
        mark = Mark.FAILED
    elif stage.running:
        mark = Mark.RUNNING
    elif stage.canceled:
        mark = Mark.CANCELED
    else:
        mark = Mark.CACHED if stage.cached == len(stage.steps) else Mark.DONE
    return TerminalRow(mark, text, need, 0, stage.intervals)


def _step(
    step: StageStep, depth: int, *, name: str = "", live: bool = False
) -> Iterator[TerminalRow]:
    vertex = step.vertex
    mark, word = _state(vertex)
    text = f"{word}{name or step.label}"
    need = Need.ENDED
    if mark in (Mark.FAILED, Mark.RUNNING):
        need = Need.RUNNING
    elif depth == 0:
        need = Need.STAGE
    logs = vertex if live and not vertex.completed else None
    yield TerminalRow(mark, text, need, depth, vertex.merged, logs)
    if not live or not vertex.completed:
        yield from _counters(vertex, depth + 1)
    for warning in vertex.warnings:
        text = f"WARN: {warning.short.decode(errors='replace')}"
        yield TerminalRow(Mark.WARNING, text, Need.ENDED, depth + 1)


def _state(vertex: ShownVertex) -> tuple[Mark, str]:
    """The step's state, with the word that tells it where there is no colour."""
    if vertex.canceled:
        return Mark.CANCELED, "CANCELED "
    if vertex.error:
        return Mark.FAILED, "ERROR "
    if not vertex.completed:
        return Mark.RUNNING, ""
    return (Mark.CACHED, "CACHED ") if vertex.cached else (Mark.DONE, "")


def _counters(vertex: ShownVertex, depth: int) -> Iterator[TerminalRow]:
    """What a step counts: bytes of layers, of a context, of exports."""
    shown = vertex.statuses
    if not vertex.completed:
        shown = [status for status in shown if status.completed is None]
    counted = [status for status in shown if status.total or status.current]
    if len(counted) > BARS:
        yield _sum(vertex.statuses, depth)
        shown = [status for status in shown if not (status.total or status.current)]
    for status in shown:
        size = format_progress(status.current, status.total)
        mark = Mark.DONE if status.completed is not None else Mark.RUNNING
        interval = Interval(status.started or status.timestamp, status.completed)
        text = f"{status.id} {size}".rstrip()
        yield TerminalRow(mark, text, Need.COUNTER, depth, [interval])


def _sum(statuses: Sequence[ProgressBar], depth: int) -> TerminalRow:
    counted = [status for status in statuses if status.total or status.current]
    completed = sum(status.completed is not None for status in counted)
    current = sum(status.current for status in counted)
    total = sum(max(status.total, status.current) for status in counted)
    open_ended = all(not status.total for status in counted)
    size = format_progress(current, 0 if open_ended else total)
    ends = [status.completed for status in counted]
    stop = None if None in ends else max(end for end in ends if end is not None)
    start = min(status.started or status.timestamp for status in counted)
    mark = Mark.RUNNING if stop is None else Mark.DONE
    text = f"{completed} of {len(counted)} parts {size}"
    return TerminalRow(mark, text, Need.COUNTER, depth, [Interval(start, stop)])


def _most_needed(rows: Sequence[TerminalRow], room: int) -> list[TerminalRow]:
    """As many rows as there is room for: by need, and of the same need the latest; with a word
    about what runs and is not shown."""
    if len(rows) <= room:
        return list(rows)
    order = sorted(range(len(rows)), key=lambda i: (rows[i].need, -i))
    indexes = set(order[:room])
    unseen = sum(
        row.mark is Mark.RUNNING and row.need is Need.RUNNING and i not in indexes
        for i, row in enumerate(rows)
    )
    if not unseen or not room:
        return [rows[i] for i in sorted(indexes)]
    indexes.discard(order[room - 1])
    unseen += rows[order[room - 1]].mark is Mark.RUNNING
    more = TerminalRow(Mark.NONE, f"and {unseen} more that run", Need.ALWAYS)
    return [*(rows[i] for i in sorted(indexes)), more]


def _with_log(row: TerminalRow, lines: int) -> Iterator[TerminalRow]:
    yield row
    if row.vertex is not None and row.vertex.screen is not None and lines:
        for text in row.vertex.screen.lines(lines):
            yield TerminalRow(Mark.LOG, text, Need.ALWAYS, row.depth)
