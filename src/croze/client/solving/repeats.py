"""Logs that the daemon repeats: a build that shares a step with one that still holds it is told
everything from the step's beginning."""

from __future__ import annotations

from collections.abc import Callable

from croze.api import control_pb2
from croze.gotypes.moments import nanoseconds

Show = Callable[[control_pb2.StatusResponse], None]


class Repeats:
    """Two builds of which the second shares steps with the first: what both are told is shown
    once."""

    def __init__(self, show: Show) -> None:
        self._show = show
        self._last_ns: dict[str, int] = {}
        """By step: the time of the last log that the first build was told."""

    def first(self, status: control_pb2.StatusResponse) -> None:
        """Show what the first build is told."""
        for log in status.logs:
            self._last_ns[log.vertex] = nanoseconds(log.timestamp)
        self._show(status)

    def second(self, status: control_pb2.StatusResponse) -> None:
        """Show what the second is told, without what the first was."""
        new = [log for log in status.logs if not self._is_repeated(log)]
        if len(new) < len(status.logs):
            shown = control_pb2.StatusResponse()
            shown.CopyFrom(status)
            del shown.logs[:]
            shown.logs.extend(new)
            status = shown
        self._show(status)

    def _is_repeated(self, log: control_pb2.VertexLog) -> bool:
        last_ns = self._last_ns.get(log.vertex)
        return last_ns is not None and nanoseconds(log.timestamp) <= last_ns
