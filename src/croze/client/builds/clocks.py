"""Another machine's times as this machine's clock would have shown them.

Source: buildx `util/progress/reset.go`: the first step that starts has started now.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from google.protobuf.timestamp_pb2 import Timestamp

from croze.api import control_pb2
from croze.gotypes.moments import nanoseconds

_FAR_S = 1 << 62
"""Beyond all calendars."""
Show = Callable[[control_pb2.StatusResponse], None]


def by_our_clock(show: Show) -> Show:
    """Passes status on with its times moved by what the clocks differ."""
    made_ns = time.time_ns()
    ahead_ns: int | None = None

    def moved(status: control_pb2.StatusResponse) -> None:
        nonlocal ahead_ns
        if ahead_ns is None:
            started = [v.started for v in status.vertexes if v.HasField("started")]
            if not started:
                show(status)
                return
            ahead_ns = nanoseconds(started[-1]) - made_ns
        show(_moved(status, ahead_ns))

    return moved


def _moved(status: control_pb2.StatusResponse, by_ns: int) -> control_pb2.StatusResponse:
    moved = control_pb2.StatusResponse()
    moved.CopyFrom(status)
    for vertex in moved.vertexes:
        _move(vertex.started, vertex.HasField("started"), by_ns)
        _move(vertex.completed, vertex.HasField("completed"), by_ns)
    for each in moved.statuses:
        _move(each.started, each.HasField("started"), by_ns)
        _move(each.completed, each.HasField("completed"), by_ns)
        _move(each.timestamp, each.HasField("timestamp"), by_ns)
    for line in moved.logs:
        _move(line.timestamp, line.HasField("timestamp"), by_ns)
    return moved


def _move(at: Timestamp, there: bool, by_ns: int) -> None:
    if there:
        seconds, at.nanos = divmod(nanoseconds(at) - by_ns, 10**9)
        at.seconds = min(max(seconds, -_FAR_S), _FAR_S)
