"""What two builds are told of a step that they share is shown once."""

from __future__ import annotations

from croze.api import control_pb2
from croze.client.solving.repeats import Repeats


def status(*logs: tuple[str, int, str]) -> control_pb2.StatusResponse:
    made = control_pb2.StatusResponse(vertexes=[control_pb2.Vertex(digest="shared")])
    for vertex, at_ns, text in logs:
        log = made.logs.add(vertex=vertex, msg=text.encode())
        log.timestamp.FromNanoseconds(at_ns)
    return made


def test_only_what_is_new_is_shown_of_the_second() -> None:
    lines: list[str] = []
    vertices: list[str] = []

    def show(shown: control_pb2.StatusResponse) -> None:
        lines.extend(log.msg.decode() for log in shown.logs)
        vertices.extend(vertex.digest for vertex in shown.vertexes)

    repeats = Repeats(show)
    repeats.first(status(("shared", 1, "a"), ("shared", 2, "b")))
    again = status(("shared", 1, "a"), ("shared", 2, "b"), ("shared", 3, "c"), ("own", 1, "d"))
    repeats.second(again)
    repeats.second(status(("shared", 4, "e"), ("own", 0, "f")))
    assert lines == ["a", "b", "c", "d", "e", "f"]
    assert vertices == ["shared"] * 3
    assert len(again.logs) == 4, "it is the caller's"
