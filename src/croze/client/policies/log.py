"""What policies say, as a step among those of the build: open while something is said."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable

from google.protobuf.timestamp_pb2 import Timestamp

from croze.api import control_pb2

WINDOW_S = 0.5
"""How long the step stays open after the last that was said."""


class PolicyLog:
    """A step of the build to which policies write. Use it from the event loop's thread; close it at
    the end."""

    def __init__(self, name: str, show: Callable[[control_pb2.StatusResponse], None]) -> None:
        self._name = name
        self._show = show
        self._digest = f"sha256:{secrets.token_hex(32)}"
        self._started: Timestamp | None = None
        self._open = False
        self._timer: asyncio.TimerHandle | None = None

    def say(self, message: str) -> None:
        """Write a line. The step is shown with the first one, and completes when none has come for
        `WINDOW_S`."""
        if not message:
            return
        if not self._open:
            self._open = True
            self._started = Timestamp()
            self._started.GetCurrentTime()
            self._show(control_pb2.StatusResponse(vertexes=[self._vertex()]))
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(WINDOW_S, self._complete)
        text = message if message.endswith("\n") else f"{message}\n"
        line = control_pb2.VertexLog(vertex=self._digest, stream=1, msg=text.encode())
        line.timestamp.GetCurrentTime()
        self._show(control_pb2.StatusResponse(logs=[line]))

    def close(self, error: BaseException | None = None) -> None:
        """End the step, with the error that the policies have caused, if the build failed for
        them."""
        if self._timer is not None:
            self._timer.cancel()
        if self._open or (error is not None and self._started is not None):
            self._complete(str(error) if error is not None else "")

    def _vertex(self) -> control_pb2.Vertex:
        vertex = control_pb2.Vertex(digest=self._digest, name=self._name)
        if self._started is not None:
            vertex.started.CopyFrom(self._started)
        return vertex

    def _complete(self, error: str = "") -> None:
        self._open = False
        vertex = self._vertex()
        vertex.completed.GetCurrentTime()
        vertex.error = error
        self._show(control_pb2.StatusResponse(vertexes=[vertex]))
