"""Steps of the client's own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from croze.api import control_pb2
from croze.progress.own import own_step, prefixed


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (ValueError("no"), "no"),
        (asyncio.CancelledError(), "context canceled"),
        (KeyboardInterrupt(), "context canceled"),
    ],
)
def test_a_failure_is_shown_with_the_step(error: BaseException, shown: str) -> None:
    seen: list[control_pb2.StatusResponse] = []
    with pytest.raises(type(error)):
        _fail(error, seen.append)
    assert seen[-1].vertexes[0].error == shown
    [line] = (log for status in seen for log in status.logs)
    assert (line.vertex, line.msg) == (seen[0].vertexes[0].digest, b"said\n")


def test_names_of_files_are_any_bytes() -> None:
    seen: list[control_pb2.StatusResponse] = []
    with own_step("step", seen.append) as step:
        step.counted("reading b\udcff", 3)
    assert seen[1].statuses[0].ID == "reading b\ufffd"


def _fail(error: BaseException, show: Callable[[control_pb2.StatusResponse], None]) -> None:
    with own_step("step", show) as log:
        log("said\n")
        raise error


def test_a_part_of_a_step_is_timed() -> None:
    seen: list[control_pb2.StatusResponse] = []
    with own_step("step", seen.append) as step, step.part("pulling"):
        step(b"half\xff", 2)
    first, last = (status for each in seen for status in each.statuses)
    assert (first.ID, first.HasField("started")) == ("pulling", True)
    assert last.HasField("completed")
    [line] = (log for each in seen for log in each.logs)
    assert (line.stream, line.msg) == (2, b"half\xff")


def test_steps_of_several_nodes_are_told_apart() -> None:
    names = ("[internal] booting", "plain")
    status = control_pb2.StatusResponse(vertexes=[control_pb2.Vertex(name=name) for name in names])
    found = [vertex.name for vertex in prefixed("node", status).vertexes]
    assert found == ["[node internal] booting", "[node] plain"]
    assert [vertex.name for vertex in status.vertexes] == list(names), "others have theirs"
