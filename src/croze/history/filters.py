"""The filters of `ListenBuildHistory` (BuildKit `solver/llbsolver/history/filter.go`).

A filter is a line of comma-separated terms that must all hold; of several filters one is enough.
`startedAt`, `completedAt` and `duration` compare with `<`, `<=`, `>` and `>=`; all other terms are
containerd's, on `ref`, `status` and `repository`.
"""

from __future__ import annotations

import operator
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime

from croze.api import control_pb2
from croze.api.attrs import of_attrs
from croze.errors import InvalidRequest
from croze.gotypes.duration import DurationError, parse_duration
from croze.gotypes.moments import nanoseconds
from croze.patterns import lazy_pattern
from croze.store import filters as containerd

Record = control_pb2.BuildHistoryRecord
Test = Callable[[Record], bool]

_COMPARISON = lazy_pattern(r"(.*?)(>=|<=|>|<)(.*)", re.DOTALL)
_COMPARE: dict[str, Callable[[int, int], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}


def select(records: Iterable[Record], filters: Sequence[str], limit: int) -> list[Record]:
    """The records that any filter lets through; with a limit, the newest. Raises
    `InvalidRequest`."""
    tests = [parse(text) for text in filters]
    if limit < 0:
        raise InvalidRequest(f"invalid limit {limit}")
    matching = [r for r in records if not tests or any(test(r) for test in tests)]
    if limit:
        matching.sort(key=lambda r: nanoseconds(r.CreatedAt), reverse=True)
        del matching[limit:]
    return matching


def parse(text: str) -> Test:
    """One filter. Raises `InvalidRequest`."""
    timed: list[Test] = []
    others: list[str] = []
    for term in fields(text):
        test = _timed(term)
        if test is None:
            others.append(term)
        else:
            timed.append(test)
    try:
        matches = containerd.parse([",".join(others)])
    except InvalidRequest as error:
        raise error.wrap(f"failed to parse history filters {text}") from None
    return lambda record: all(test(record) for test in timed) and matches(_shown(record))


def fields(text: str) -> list[str]:
    """The fields of one line of CSV (RFC 4180). Raises `InvalidRequest` for a stray quote."""
    parsed, at = [], 0
    while True:
        if text.startswith('"', at):
            value, at = _quoted(text, at + 1)
        else:
            end = text.find(",", at)
            value, at = (text[at:], len(text)) if end < 0 else (text[at:end], end)
            if '"' in value:
                raise InvalidRequest(
                    f'parse error on line 1, column {at}: bare " in non-quoted field'
                )
        parsed.append(value)
        if at >= len(text):
            return parsed if parsed != [""] else []
        at += 1


def _quoted(text: str, at: int) -> tuple[str, int]:
    match = re.compile(r'((?:[^"]|"")*)"(?=,|$)').match(text, at)
    if match is None:
        raise InvalidRequest(
            f'parse error on line 1, column {at}: extraneous or missing " in quoted-field'
        )
    return match.group(1).replace('""', '"'), match.end()


def _timed(term: str) -> Test | None:
    match = _COMPARISON.fullmatch(term)
    if match is None or match.group(1) not in ("startedAt", "completedAt", "duration"):
        return None
    key, compare, value = match.group(1), _COMPARE[match.group(2)], match.group(3)
    bound = _duration_ns(value) if key == "duration" else _moment_s(value)
    return lambda record: compare(_value(record, key), bound)


def _value(record: Record, key: str) -> int:
    """Seconds since the epoch, or nanoseconds of a duration; 0 while it runs."""
    if key == "startedAt":
        return record.CreatedAt.seconds
    if not record.HasField("CompletedAt"):
        return 0
    if key == "completedAt":
        return record.CompletedAt.seconds
    return nanoseconds(record.CompletedAt) - nanoseconds(record.CreatedAt)


def _moment_s(value: str) -> int:
    """A time, or so long ago."""
    try:
        return int(time.time() - parse_duration(value) / 1e9)
    except DurationError:
        pass  # then it is a time
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None or "T" not in value:
        raise InvalidRequest(f"invalid time {value}")
    return int(moment.timestamp())


def _duration_ns(value: str) -> int:
    try:
        return parse_duration(value)
    except DurationError:
        raise InvalidRequest(f"invalid duration {value}") from None


def _shown(record: Record) -> containerd.Fields:
    return {
        "ref": record.Ref or None,
        "status": status(record),
        "repository": _repository(of_attrs(record.FrontendAttrs)),
    }


def status(record: Record) -> str:
    """What became of the build, or `running`."""
    if not record.HasField("CompletedAt"):
        return "running"
    if not record.HasField("error"):
        return "completed"
    return "canceled" if "context canceled" in record.error.message else "error"


def _repository(attrs: Mapping[str, str]) -> str | None:
    if "vcs:source" in attrs:
        return attrs["vcs:source"]

    from croze.llb.giturl import parse_git_url  # with which all of `llb` comes

    try:
        return parse_git_url(attrs.get("context", "")).remote
    except InvalidRequest:
        return None
