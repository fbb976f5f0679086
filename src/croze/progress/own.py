"""Steps of the client's own, among those of the daemon."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from croze.api import control_pb2
from croze.gotypes.strings import shown

Show = Callable[[control_pb2.StatusResponse], None]


class OwnStep:
    """What a step tells while it runs. Called with a text, it shows lines of its log."""

    def __init__(self, name: str, show: Show) -> None:
        self._show = show
        self.vertex = control_pb2.Vertex(digest=f"sha256:{secrets.token_hex(32)}", name=name)

    def __call__(self, text: str | bytes, stream: int = 1) -> None:
        """`stream` is 1 for output, 2 for errors."""
        message = text.encode() if isinstance(text, str) else text
        line = control_pb2.VertexLog(vertex=self.vertex.digest, stream=stream, msg=message)
        line.timestamp.GetCurrentTime()
        self._show(control_pb2.StatusResponse(logs=[line]))

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Show what is done inside as a part of the step, with the time that it takes."""
        status = control_pb2.VertexStatus(ID=name, vertex=self.vertex.digest)
        status.started.GetCurrentTime()
        status.timestamp.GetCurrentTime()
        self._show(control_pb2.StatusResponse(statuses=[status]))
        try:
            yield
        finally:
            status.completed.GetCurrentTime()
            status.timestamp.GetCurrentTime()
            self._show(control_pb2.StatusResponse(statuses=[status]))

    def counted(self, name: str, size_bytes: int, *, total_known: bool = True) -> None:
        """Show that something of that size has been done within the step."""
        total = size_bytes if total_known else 0
        status = control_pb2.VertexStatus(
            ID=shown(name), vertex=self.vertex.digest, current=size_bytes, total=total
        )
        for moment in (status.timestamp, status.started, status.completed):
            moment.GetCurrentTime()
        self._show(control_pb2.StatusResponse(statuses=[status]))


@contextmanager
def own_step(name: str, show: Show) -> Iterator[OwnStep]:
    """Show what is done inside as a step; a failure is shown with it."""
    step = OwnStep(name, show)
    vertex = step.vertex
    vertex.started.GetCurrentTime()
    show(control_pb2.StatusResponse(vertexes=[vertex]))
    try:
        yield step
    except BaseException as error:
        import asyncio  # most steps of commands that need no event loop do not fail

        cancelled = isinstance(error, asyncio.CancelledError | KeyboardInterrupt)
        vertex.error = "context canceled" if cancelled else str(error)
        raise
    finally:
        vertex.completed.GetCurrentTime()
        show(control_pb2.StatusResponse(vertexes=[vertex]))


def prefixed(name: str, status: control_pb2.StatusResponse) -> control_pb2.StatusResponse:
    """A copy of the status in which steps have the name of their node in front."""
    named = control_pb2.StatusResponse()
    named.CopyFrom(status)
    for vertex in named.vertexes:
        inside = vertex.name.startswith("[")
        vertex.name = f"[{name} {vertex.name[1:]}" if inside else f"[{name}] {vertex.name}"
    return named
