"""Times of other machines, shown as ours."""

from __future__ import annotations

import time

from croze.api import control_pb2
from croze.client.builds.clocks import by_our_clock

HOUR_NS = 3600 * 10**9


def test_the_first_step_has_started_now() -> None:
    seen: list[control_pb2.StatusResponse] = []
    show = by_our_clock(seen.append)
    show(control_pb2.StatusResponse(vertexes=[control_pb2.Vertex(digest="waiting")]))
    started = time.time_ns() - HOUR_NS
    vertex = control_pb2.Vertex(digest="runs")
    vertex.started.FromNanoseconds(started)
    line = control_pb2.VertexLog(vertex="runs", msg=b"x")
    line.timestamp.FromNanoseconds(started + 5)
    show(control_pb2.StatusResponse(vertexes=[vertex], logs=[line]))
    vertex.completed.FromNanoseconds(started + 7)
    count = control_pb2.VertexStatus(ID="x", vertex="runs")
    count.timestamp.FromNanoseconds(started + 6)
    show(control_pb2.StatusResponse(vertexes=[vertex], statuses=[count]))
    at = seen[1].vertexes[0].started.ToNanoseconds()
    assert abs(at - time.time_ns()) < HOUR_NS // 60
    assert seen[1].logs[0].timestamp.ToNanoseconds() == at + 5
    assert seen[2].vertexes[0].completed.ToNanoseconds() == at + 7
    assert seen[2].statuses[0].timestamp.ToNanoseconds() == at + 6
    assert not seen[2].statuses[0].HasField("started")
    assert vertex.started.ToNanoseconds() == started, "what others see stays as it is"
