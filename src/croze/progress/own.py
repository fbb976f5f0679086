"""Steps of the client's own, among those of the daemon."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from croze.api import control_pb2


@contextmanager
def own_step(
    name: str, show: Callable[[control_pb2.StatusResponse], None]
) -> Iterator[Callable[[str], None]]:
    """Show what is done inside as a step; a failure is shown with it. What it gives shows lines of
    the step's log."""
    vertex = control_pb2.Vertex(digest=f"sha256:{secrets.token_hex(32)}", name=name)
    vertex.started.GetCurrentTime()
    show(control_pb2.StatusResponse(vertexes=[vertex]))

    def log(text: str) -> None:
        line = control_pb2.VertexLog(vertex=vertex.digest, stream=1, msg=text.encode())
        line.timestamp.GetCurrentTime()
        show(control_pb2.StatusResponse(logs=[line]))

    try:
        yield log
    except BaseException as error:
        cancelled = isinstance(error, asyncio.CancelledError | KeyboardInterrupt)
        vertex.error = "context canceled" if cancelled else str(error)
        raise
    finally:
        vertex.completed.GetCurrentTime()
        show(control_pb2.StatusResponse(vertexes=[vertex]))
